import { setTimeout as delay } from 'node:timers/promises'
import { type Figure, median } from '../report/figures.ts'
import type { Comparison } from './comparison.ts'
import { withChildren } from './contender-run.ts'
import type { Contender } from './peers.ts'
import { isAlive, processTree, memoryOf, processorTime } from './proc.ts'

const KILLS = 20
const AT_MOST_MS = 5

/** Measures M-3: the time from killing a child until its replacement runs and has reported its pid. */
export async function measureReplacement(comparison: Comparison): Promise<readonly Figure[]> {
  const samples = await comparison.rounds((contender) => replacement(contender, comparison.scratch))
  const goal = { type: 'difference', atMost: AT_MOST_MS } as const
  return [comparison.figure(samples, { id: 'M-3', what: 'child killed, replaced', unit: 'ms', goal }, (ms) => ms)]
}

/** Measures one replacement. Kills the run at the end: with restarts enabled, concurrently restarts children that a stop ends. */
async function replacement(contender: Contender, scratch: string): Promise<number> {
  return withChildren(contender, { scratch, count: 1, restarts: true }, async (_run, pidPipe) => {
    const times: number[] = []
    for (let kill = 0; kill < KILLS; kill++) {
      const since = performance.now()
      process.kill(pidPipe.pids.at(-1) ?? 0, 'SIGKILL')
      await pidPipe.started(kill + 2)
      times.push(performance.now() - since)
    }
    return median(times)
  })
}

const HUNDRED = 100
const AT_MOST = 1.3

interface StartStopSample {
  readonly upMs: number
  readonly stoppedMs: number
  readonly left: number
}

/** Measures M-4: the time until 100 children are up, and the time from the signal until no child is left. */
export async function measureHundred(comparison: Comparison): Promise<readonly Figure[]> {
  const samples = await comparison.rounds((contender) => hundred(contender, comparison.scratch))
  const figure = (what: string, of: (sample: StartStopSample) => number): Figure => {
    const goal = { type: 'ratio', atMost: AT_MOST } as const
    return comparison.figure(
      samples,
      { id: 'M-4', what: `${HUNDRED} children ${what}`, unit: 'ms', goal },
      of,
      leftOver,
    )
  }
  return [figure('up', (sample) => sample.upMs), figure('stopped', (sample) => sample.stoppedMs)]
}

function leftOver(samples: readonly StartStopSample[]): string {
  const left = Math.max(0, ...samples.map((sample) => sample.left))
  return left === 0 ? '' : `${left} left`
}

async function hundred(contender: Contender, scratch: string): Promise<StartStopSample> {
  const job = { scratch, count: HUNDRED, restarts: false }
  return withChildren(contender, job, async (run, pidPipe, upMs) => {
    const stoppedMs = await run.stop()
    return { upMs, stoppedMs, left: pidPipe.pids.filter(isAlive).length }
  })
}

const IDLE_CHILDREN = 20
/** V8 returns the memory that a start has used after eight seconds without work. */
const SETTLE_MS = 10_000
const WATCH_MS = 4000
const AT_MOST_MB = 65
/** The limit of processor time. The kernel counts it in hundredths of a second; this limit allows one or two of them. */
const AT_MOST_PERCENT = 0.5

interface IdleSample {
  readonly megabytes: number
  readonly percent: number
}

/** Measures M-5: memory and processor time of a contender, including its helper processes, while its 20 children sleep. */
export async function measureIdle(comparison: Comparison): Promise<readonly Figure[]> {
  const samples = await comparison.rounds((contender) => idle(contender, comparison.scratch))
  const figure = (what: string, unit: 'MB' | '%', of: (sample: IdleSample) => number, atMost: number): Figure => {
    const goal = { type: 'value', atMost } as const
    return comparison.figure(
      samples,
      { id: 'M-5', what: `idle with ${IDLE_CHILDREN} children, ${what}`, unit, goal },
      of,
    )
  }
  return [
    figure('memory', 'MB', (sample) => sample.megabytes, AT_MOST_MB),
    figure('processor', '%', (sample) => sample.percent, AT_MOST_PERCENT),
  ]
}

async function idle(contender: Contender, scratch: string): Promise<IdleSample> {
  return withChildren(contender, { scratch, count: IDLE_CHILDREN, restarts: false }, async (run, pidPipe) => {
    await delay(SETTLE_MS)
    const own = processTree(run.pid, new Set(pidPipe.pids))
    const [before, since] = [sum(own.map(processorTime)), performance.now()]
    await delay(WATCH_MS)
    const percent = (100 * (sum(own.map(processorTime)) - before)) / (performance.now() - since)
    const megabytes = sum(own.map(memoryOf))
    await run.stop()
    return { megabytes, percent }
  })
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
