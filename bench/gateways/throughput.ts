import { setTimeout as sleep } from 'node:timers/promises'
import { connectAsync } from 'mqtt'
import { compare, type Figure, median } from '../report/figures.ts'
import type { BenchOptions } from '../report/report.ts'
import { inBatches, ORGANIZATION, type PipelineStage, sensorPayload } from '../rig/pipeline-stage.ts'
import { PROFILE } from '../rig/program.ts'

const MESSAGES = 20_000
const DEVICES = 10

interface Run {
  readonly ms: number
  /** Processor time of the program for each message. */
  readonly micros: number
}

/**
 * Measures the time in which one gateway of type `mqtt` stores the QoS 1 messages that its broker has queued for it. For
 * comparison it measures two parts alone: a subscriber that acknowledges as many messages without storing them, and publishing
 * as many envelopes to JetStream.
 */
export async function measureThroughput(
  stage: PipelineStage,
  { rounds, alone, profile }: BenchOptions,
): Promise<readonly Figure[]> {
  await stage.createGateway()
  const contenders = alone ? [] : (['subscribe', 'publish'] as const)
  // From now on the broker queues the messages for both sessions.
  await runOurs(stage, 0, [])
  if (!alone) await runContender(stage, 'subscribe', 0)
  const runs: Run[] = []
  const peers = { subscribe: [] as Run[], publish: [] as Run[] }
  for (let round = 1; round <= rounds; round += 1) {
    console.error(`bench: G-12, round ${round} of ${rounds}`)
    await publish(stage.mqttUrl)
    runs.push(await runOurs(stage, MESSAGES, profile ? PROFILE : []))
    for (const contender of contenders) peers[contender].push(await runContender(stage, contender, MESSAGES))
  }
  await stage.removeGateways()
  await stage.nats.manager.streams.purge('raw_envelopes')
  const figure = (what: string, unit: Figure['unit'], part: (run: Run) => number): Figure => ({
    id: 'G-12',
    what: `20,000 queued messages → one mqtt gateway → JetStream${what}`,
    unit,
    ours: median(runs.map(part)),
    beside: alone ? undefined : compare('acknowledge only', runs.map(part), peers.subscribe.map(part)),
    goal: { type: 'none' },
    peers: new Map(alone ? [] : [['JetStream publish alone', median(peers.publish.map(part))]]),
  })
  return [
    figure('', 'messages/s', ({ ms }) => (MESSAGES / ms) * 1000),
    figure(', processor time of a message', 'µs', ({ micros }) => micros),
  ]
}

/** Publishes the messages of a round; resolves when the broker has acknowledged them. */
async function publish(brokerUrl: string): Promise<void> {
  const client = await connectAsync(brokerUrl)
  await inBatches(MESSAGES, 1000, (n) =>
    client.publishAsync(`${ORGANIZATION}/gateway-${n % DEVICES}`, sensorPayload(n), { qos: 1 }),
  )
  await client.endAsync()
}

async function runOurs(stage: PipelineStage, messages: number, flags: readonly string[]): Promise<Run> {
  await stage.nats.manager.streams.purge('raw_envelopes')
  const service = stage.start('gateway-orchestrator', flags)
  const running = service.logLine('gateway running (mqtt)')
  const start = await service.logLine('"gateways loaded"')
  const before = service.processorMs
  await running
  await service.during(whenStored(stage, messages))
  const ms = performance.now() - start
  const micros = ((service.processorMs - before) / messages) * 1000
  await service.stop()
  const stored = await stage.messagesIn('raw_envelopes')
  if (stored !== messages) console.error(`bench: G-12, ${stored} of ${messages} messages are stored`)
  return { ms, micros }
}

async function whenStored(stage: PipelineStage, messages: number): Promise<void> {
  while ((await stage.messagesIn('raw_envelopes')) < messages) await sleep(10)
}

async function runContender(stage: PipelineStage, part: 'subscribe' | 'publish', messages: number): Promise<Run> {
  const variables = { BENCH_MESSAGES: String(messages), BENCH_BROKER: stage.mqttUrl, BENCH_ORGANIZATION: ORGANIZATION }
  const { ms, processorMs } = await stage.runContender('gateway-contender', part, variables)
  return { ms, micros: (processorMs / messages) * 1000 }
}
