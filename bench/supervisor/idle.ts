import { besideOf, type Figure, median } from '../report/figures.ts'
import type { Contender } from './contender.ts'
import type { Field } from './field.ts'
import { family, memoryOf, processorTime } from './proc.ts'
import { withChildren } from './with-children.ts'

const CHILDREN = 20
const SETTLE_MS = 1500
const WATCH_MS = 4000
const AT_MOST_MB = 65
/** The kernel counts in hundredths of a second: one of them is no more than a glance. */
const AT_MOST_PERCENT = 0.5

interface Sample {
  readonly megabytes: number
  readonly percent: number
}

/** M-5: what a contender, with whatever processes it keeps for itself, takes while its twenty children sleep. */
export async function measureIdle(field: Field): Promise<readonly Figure[]> {
  const samples = await field.rounds((contender) => idle(contender, field.scratch))
  const figure = (what: string, unit: 'MB' | '%', of: (sample: Sample) => number, atMost: number): Figure => ({
    id: 'M-5',
    what: `idle with ${CHILDREN} children, ${what}`,
    unit,
    ours: median(samples.ours.map(of)),
    beside: besideOf('bare Node', samples.ours.map(of), samples.bare.map(of)),
    goal: { type: 'value', atMost },
    peers: field.peers((name) => median((samples.peers.get(name) ?? []).map(of))),
  })
  return [
    figure('memory', 'MB', (sample) => sample.megabytes, AT_MOST_MB),
    figure('processor', '%', (sample) => sample.percent, AT_MOST_PERCENT),
  ]
}

async function idle(contender: Contender, scratch: string): Promise<Sample> {
  return withChildren(contender, { scratch, count: CHILDREN, restarts: false }, async (run, rollCall) => {
    await delay(SETTLE_MS)
    const own = family(run.pid, new Set(rollCall.pids))
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

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
