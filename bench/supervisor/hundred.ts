import { besideOf, type Figure, median } from '../report/figures.ts'
import type { Contender } from './contender.ts'
import type { Field } from './field.ts'
import { isAlive } from './proc.ts'
import { withChildren } from './with-children.ts'

const CHILDREN = 100
const AT_MOST = 1.3

interface Sample {
  readonly upMs: number
  readonly stoppedMs: number
  readonly left: number
}

/** M-4: a hundred children, from nothing to all of them up, and from the signal until nothing is left. */
export async function measureHundred(field: Field): Promise<readonly Figure[]> {
  const samples = await field.rounds((contender) => hundred(contender, field.scratch))
  const figure = (what: string, of: (sample: Sample) => number): Figure => ({
    id: 'M-4',
    what: `${CHILDREN} children ${what}`,
    unit: 'ms',
    ours: leftOf(samples.ours) > 0 ? NaN : median(samples.ours.map(of)),
    beside: besideOf('bare Node', samples.ours.map(of), samples.bare.map(of)),
    goal: { type: 'ratio', atMost: AT_MOST },
    peers: field.peers((name) => {
      const own = samples.peers.get(name) ?? []
      const value = median(own.map(of))
      const left = leftOf(own)
      return left === 0 ? value : `${Math.round(value)} ms, ${left} left`
    }),
  })
  return [figure('up', (sample) => sample.upMs), figure('stopped', (sample) => sample.stoppedMs)]
}

function leftOf(samples: readonly Sample[]): number {
  return Math.max(0, ...samples.map((sample) => sample.left))
}

async function hundred(contender: Contender, scratch: string): Promise<Sample> {
  const job = { scratch, count: CHILDREN, restarts: false }
  return withChildren(contender, job, async (run, rollCall, upMs) => {
    const stoppedMs = await run.stop()
    return { upMs, stoppedMs, left: rollCall.pids.filter(isAlive).length }
  })
}
