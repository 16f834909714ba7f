import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { compare, type Figure, median } from '../report/figures.ts'
import type { BenchOptions } from '../report/report.ts'
import { ORGANIZATION, type PipelineStage } from '../rig/pipeline-stage.ts'
import type { BenchProgram } from '../rig/program.ts'
import { BenchServer, installed } from '../rig/server.ts'

const MESSAGES = 60_000
const PER_SECOND = 12_000
const MICROS = 150
const DEVICE = 'pipeline'
const EXPRESSION = `{'v': double(string(input))}`
/** The programs of the default graph beside the servers and the demo. */
const SERVICES = ['api', 'cdc', 'analytics', 'gateway-orchestrator'] as const
const POLL_INTERVAL_MS = 50

interface Run {
  /** The time from the start of mosquitto_pub until every row is visible. */
  readonly ms: number
  /** The time in which the broker acknowledges the same messages while nothing is subscribed. */
  readonly publishMs: number
  /** Processor time of all servers and services for each message. */
  readonly micros: number
}

/**
 * Measures M-15: 60,000 QoS 1 messages, as fast as mosquitto_pub sends them, through a broker and all programs of the default
 * graph to visible rows. Without mosquitto's programs their rows are left out.
 */
export async function measurePipeline(stage: PipelineStage, options: BenchOptions): Promise<readonly Figure[]> {
  const publisher = installed('mosquitto_pub')
  if (publisher === null) {
    console.error('bench: M-15 is left out, because mosquitto_pub is not installed')
    return []
  }
  await stage.createDevices(DEVICE, 1, ORGANIZATION, EXPRESSION)
  const figures = await measureBroker(stage, options, publisher, 'aedes')
  if (installed('mosquitto') === null) {
    console.error('bench: M-15 with mosquitto is left out, because it is not installed')
    return figures
  }
  return [...figures, ...(await measureBroker(stage, options, publisher, 'mosquitto'))]
}

/** Starts the broker of a round: an earlier one has the gateway's session, and would queue the messages of `publishMs` for it. */
async function startBroker(name: 'aedes' | 'mosquitto', { root, scratch }: BenchOptions): Promise<BenchServer> {
  const folder = await mkdtemp(join(scratch, 'broker-'))
  return name === 'aedes' ? await BenchServer.start(root, 'mqtt', folder) : await BenchServer.startMosquitto(folder)
}

async function measureBroker(
  stage: PipelineStage,
  options: BenchOptions,
  publisher: string,
  name: 'aedes' | 'mosquitto',
): Promise<readonly Figure[]> {
  const runs: Run[] = []
  for (let round = 1; round <= options.rounds; round += 1) {
    console.error(`bench: M-15 with ${name}, round ${round} of ${options.rounds}`)
    const broker = await startBroker(name, options)
    try {
      const publishMs = await publish(publisher, broker.port)
      runs.push({ publishMs, ...(await runPipeline(stage, publisher, broker)) })
    } finally {
      await broker.stop()
    }
  }
  const times = runs.map(({ ms }) => ms)
  const alone = runs.map(({ publishMs }) => publishMs)
  const what = `60,000 messages → ${name} → visible rows`
  return [
    {
      id: 'M-15',
      what,
      unit: 'ms',
      ours: median(times),
      beside: compare('mosquitto_pub → broker alone', times, alone),
      goal: { type: 'value', atMost: (MESSAGES / PER_SECOND) * 1000 },
    },
    {
      id: 'M-15',
      what: `${what}, processor time of a message`,
      unit: 'µs',
      ours: median(runs.map(({ micros }) => micros)),
      goal: { type: 'value', atMost: MICROS },
    },
  ]
}

async function runPipeline(stage: PipelineStage, publisher: string, broker: BenchServer) {
  await stage.createGateway(`mqtt://127.0.0.1:${broker.port}`)
  const services = SERVICES.map((name) => stage.start(name))
  const running = services.at(-1)?.logLine('gateway running (mqtt)')
  await Promise.all([running, ...services.map((service) => service.logLine('"ready"'))])
  const { postgres, nats, clickhouse } = stage.servers
  const parts: readonly { readonly processorMs: number }[] = [...services, postgres, nats, clickhouse, broker]
  const processorMs = (): number => parts.reduce((sum, part) => sum + part.processorMs, 0)
  const before = processorMs()
  const start = performance.now()
  await Promise.all([publish(publisher, broker.port), whenVisible(stage, services)])
  const ms = performance.now() - start
  const micros = ((processorMs() - before) / MESSAGES) * 1000
  for (const service of services) await service.stop()
  await stage.removeGateways()
  await stage.empty()
  return { ms, micros }
}

/** Publishes the numbers from 1 on with mosquitto_pub; resolves with the time in ms until the broker has acknowledged all. */
async function publish(publisher: string, port: number): Promise<number> {
  const start = performance.now()
  const args = ['-p', String(port), '-q', '1', '-t', `${ORGANIZATION}/${DEVICE}0`, '-l']
  const child = spawn(publisher, args, { stdio: ['pipe', 'inherit', 'inherit'] })
  child.stdin.end(Array.from({ length: MESSAGES }, (_, index) => `${index + 1}\n`).join(''))
  const [code]: unknown[] = await once(child, 'exit')
  if (code !== 0) throw new Error(`mosquitto_pub ended with ${String(code)}`)
  return performance.now() - start
}

async function whenVisible(stage: PipelineStage, services: readonly BenchProgram[]): Promise<void> {
  const visible = async (): Promise<number> => {
    const text = `SELECT toUInt32(uniqExact(data.v.:Float64)) AS rows FROM processed_envelopes WHERE end_device_id = '${DEVICE}0'`
    const [row] = await stage.query<{ rows: number }>(text)
    return row?.rows ?? 0
  }
  const poll = async (): Promise<void> => {
    while ((await visible()) < MESSAGES) await sleep(POLL_INTERVAL_MS)
  }
  await Promise.race([poll(), ...services.map((service) => service.during(new Promise<never>(() => {})))])
}
