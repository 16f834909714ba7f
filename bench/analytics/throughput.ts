import { setTimeout as sleep } from 'node:timers/promises'
import { compare, type Figure, median } from '../report/figures.ts'
import type { BenchOptions } from '../report/report.ts'
import { PROFILE } from '../rig/program.ts'
import { inBatches, type PipelineStage, ORGANIZATION } from '../rig/pipeline-stage.ts'

const ENVELOPES = 200_000
const DEVICES = 100
const PER_SECOND = 20_000
const MAX_MEMORY_MB = 512
/** Cayenne LPP: a temperature of 25.5, a humidity of 65 and a pressure of 1013.3. */
const PAYLOAD = Buffer.from('006700FF01688202732795', 'hex')

interface Run {
  /** The time from the first fetch to the acknowledgement of the last row. */
  readonly ms: number
  readonly megabytes: number
  /** Processor time of the service, including its start. */
  readonly processorMs: number
}

/**
 * Measures M-11: the time to convert a backlog of 200,000 raw envelopes of 100 devices to rows. For comparison it measures two
 * parts alone: JetStream (consume and acknowledge) and ClickHouse (insert the same rows from prepared text).
 */
export async function measureThroughput(
  stage: PipelineStage,
  { rounds, alone, profile }: BenchOptions,
): Promise<readonly Figure[]> {
  await stage.createDevices('throughput-', DEVICES, ORGANIZATION, 'cayenne_lpp_decode(input)')
  await publishBacklog(stage)
  const ours: Run[] = []
  const consumed: number[] = []
  const inserted: number[] = []
  for (let round = 1; round <= rounds; round += 1) {
    console.error(`bench: M-11, round ${round} of ${rounds}`)
    const run = await runOurs(stage, profile)
    console.error(
      `bench: ${Math.round(run.ms)} ms, processor time ${run.processorMs} ms, ${Math.round(run.megabytes)} MB`,
    )
    ours.push(run)
    if (alone) continue
    consumed.push(await runContender(stage, 'consume'))
    inserted.push(await runContender(stage, 'insert'))
  }
  await stage.empty()
  const times = ours.map(({ ms }) => ms)
  const base = { id: 'M-11', unit: 'ms', ours: median(times) } as const
  const what = '200,000 raw envelopes → rows'
  return [
    {
      ...base,
      what,
      beside: alone ? undefined : compare('JetStream consume + acknowledge', times, consumed),
      goal: { type: 'value', atMost: (ENVELOPES / PER_SECOND) * 1000 },
      peers: new Map(alone ? [] : [['ClickHouse insert alone', median(inserted)]]),
    },
    {
      ...base,
      what: `${what}, processor time of the service`,
      ours: median(ours.map(({ processorMs }) => processorMs)),
      goal: { type: 'none' },
    },
    {
      ...base,
      what: `${what}, peak memory`,
      unit: 'MB',
      ours: Math.max(...ours.map(({ megabytes }) => megabytes)),
      goal: { type: 'value', atMost: MAX_MEMORY_MB },
    },
  ]
}

async function publishBacklog(stage: PipelineStage): Promise<void> {
  await inBatches(ENVELOPES, 10_000, (n) =>
    stage.publishRaw(ORGANIZATION, `throughput-${n % DEVICES}`, PAYLOAD, `backlog-${n}`),
  )
}

async function runOurs(stage: PipelineStage, profile: boolean): Promise<Run> {
  await stage.rewind()
  const service = stage.start('analytics', profile ? PROFILE : [])
  const start = await service.logLine('"durable":"analytics-raw"')
  const end = await service.during(whenStored(stage))
  const run = { ms: end - start, megabytes: service.megabytes, processorMs: service.processorMs }
  await service.stop()
  const [found] = await stage.query<{ rows: number }>('SELECT toUInt32(count()) AS rows FROM processed_envelopes')
  if (found?.rows !== ENVELOPES) throw new Error(`found ${found?.rows} rows; expected ${ENVELOPES}`)
  return run
}

/** Resolves with the time when every processed envelope is acknowledged. */
async function whenStored({ nats }: PipelineStage): Promise<number> {
  for (;;) {
    const info = await nats.manager.consumers.info('processed_envelopes', 'analytics-processed').catch(() => undefined)
    if (info !== undefined && info.ack_floor.stream_seq >= ENVELOPES) return performance.now()
    await sleep(20)
  }
}

async function runContender(stage: PipelineStage, part: 'consume' | 'insert'): Promise<number> {
  if (part === 'consume') await stage.rewind()
  else await stage.clickhouse.client.command({ query: 'TRUNCATE TABLE processed_envelope_rows' })
  const { ms } = await stage.runContender('analytics-contender', part, { BENCH_ENVELOPES: String(ENVELOPES) })
  return ms
}
