import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { compare, type Figure, median } from '../report/figures.ts'
import type { BenchOptions } from '../report/report.ts'
import type { PipelineStage } from '../rig/pipeline-stage.ts'
import { type BenchProgram, PROFILE } from '../rig/program.ts'

const GATEWAYS = 10_000
const START_MS = 1000
const KILOBYTES = 4
const IDLE_MS = 5000
/** An interval in which no gateway prints a second line. */
const NEVER_SECS = '86400'

/** The service with a number of gateways. */
interface Run {
  /** The time from the start of the program until every gateway runs. */
  readonly ms: number
  /** Processor time in ms until then. */
  readonly processorMs: number
  /** Bytes of the heap and outside it, after a garbage collection. */
  readonly used: number
  readonly rss: number
  /** Processor time per second, in percent of one core. */
  readonly idle: number
}

/**
 * Measures M-13: 10,000 gateways of type `print` in PostgreSQL; their idle load after their states are stored. The time and the memory are compared with those of the same
 * program without gateways, the time also with a bare SELECT of the same rows.
 */
export async function measureFleet(
  stage: PipelineStage,
  { rounds, alone, profile }: BenchOptions,
): Promise<readonly Figure[]> {
  const full: Run[] = []
  const empty: Run[] = []
  const selects: number[] = []
  for (let round = 1; round <= rounds; round += 1) {
    console.error(`bench: M-13, round ${round} of ${rounds}`)
    await stage.removeGateways()
    empty.push(await run(stage, 0, false))
    await stage.createPrintGateways(GATEWAYS)
    full.push(await run(stage, GATEWAYS, profile))
    if (!alone) selects.push(await stage.selectGateways())
  }
  const printing = alone ? NaN : await printingLoad(stage)
  await stage.removeGateways()
  const times = full.map(({ ms }) => ms)
  const what = '10,000 print gateways'
  const perGateway = (part: 'used' | 'rss'): number =>
    median(full.map((own, round) => (own[part] - (empty[round]?.[part] ?? NaN)) / GATEWAYS / 1024))
  const base = { id: 'M-13', goal: { type: 'none' } } as const
  const none = compare(
    'no gateway',
    times,
    empty.map(({ ms }) => ms),
  )
  const figures: Figure[] = [
    {
      ...base,
      what: `${what}, start of the program → all running`,
      unit: 'ms',
      ours: median(times),
      beside: none,
      goal: { type: 'difference', atMost: START_MS },
      peers: new Map(alone ? [] : [['bare SELECT of the rows', median(selects)]]),
    },
    {
      ...base,
      what: `${what}, processor time of the start`,
      unit: 'ms',
      ours: median(processorTimes(full)),
      beside: compare('no gateway', processorTimes(full), processorTimes(empty)),
    },
    {
      ...base,
      what: `${what}, heap and buffers of each`,
      unit: 'KB',
      ours: perGateway('used'),
      goal: { type: 'value', atMost: KILOBYTES },
    },
    { ...base, what: `${what}, resident memory of each`, unit: 'KB', ours: perGateway('rss') },
    {
      ...base,
      what: `${what}, processor while none prints`,
      unit: '%',
      ours: median(full.map(({ idle }) => idle)),
      goal: { type: 'value', atMost: 1 },
    },
  ]
  if (!alone) figures.push({ ...base, what: `${what}, processor with 2,000 lines/s`, unit: '%', ours: printing })
  return figures
}

function processorTimes(runs: readonly Run[]): readonly number[] {
  return runs.map(({ processorMs }) => processorMs)
}

async function run(stage: PipelineStage, gateways: number, profile: boolean): Promise<Run> {
  const probe = join(stage.root, '.ponix/bench/programs/memory-probe.js')
  const flags = ['--expose-gc', `--import=${probe}`, ...(profile ? PROFILE : [])]
  const service = stage.start('gateway-orchestrator', flags, {
    PONIX_GATEWAY_ORCHESTRATOR_PRINT_INTERVAL_SECS: NEVER_SECS,
  })
  const start = performance.now()
  const ready = service.logLine('"ready"')
  const running = gateways === 0 ? undefined : service.logLine('gateway running (print)', gateways)
  const loaded = await service.logLine('"gateways loaded"')
  const ms = Math.max(loaded, (await running) ?? 0) - start
  const { processorMs } = service
  await ready
  const { used, rss } = await memoryOf(service)
  await service.during(stage.whenReported(gateways))
  const idle = await loadOf(service)
  await service.stop()
  return { ms, processorMs, used, rss, idle }
}

/** Returns the load while every gateway prints a line in the default interval of five seconds. */
async function printingLoad(stage: PipelineStage): Promise<number> {
  const service = stage.start('gateway-orchestrator')
  await service.logLine('"ready"')
  const load = await loadOf(service)
  await service.stop()
  return load
}

async function memoryOf(service: BenchProgram): Promise<{ readonly used: number; readonly rss: number }> {
  const { used, rss }: { used: number; rss: number } = JSON.parse(await service.answer('SIGUSR2', '"memory"'))
  return { used, rss }
}

/** Returns the processor time of some seconds in percent of one core. */
async function loadOf(service: BenchProgram): Promise<number> {
  const before = service.processorMs
  await sleep(IDLE_MS)
  return ((service.processorMs - before) / IDLE_MS) * 100
}
