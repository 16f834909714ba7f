import { besideOf, type Figure, median } from '../report/figures.ts'
import type { Contender } from './contender.ts'
import type { Field } from './field.ts'
import { withChildren } from './with-children.ts'

const KILLS = 20
const AT_MOST_MS = 5

/** M-3: the child is killed; how long until its replacement runs and has said so. */
export async function measureReplacement(field: Field): Promise<readonly Figure[]> {
  const { ours, bare, peers } = await field.rounds((contender) => replacement(contender, field.scratch))
  return [
    {
      id: 'M-3',
      what: 'child killed, replaced',
      unit: 'ms',
      ours: median(ours),
      beside: besideOf('bare Node', ours, bare),
      goal: { type: 'difference', atMost: AT_MOST_MS },
      peers: field.peers((name) => median(peers.get(name) ?? [])),
    },
  ]
}

/** Not stopped but killed in the end: concurrently, told to restart, restarts what a stop has ended. */
async function replacement(contender: Contender, scratch: string): Promise<number> {
  return withChildren(contender, { scratch, count: 1, restarts: true }, async (_run, rollCall) => {
    const times: number[] = []
    for (let kill = 0; kill < KILLS; kill++) {
      const since = performance.now()
      process.kill(rollCall.pids.at(-1) ?? 0, 'SIGKILL')
      await rollCall.started(kill + 2)
      times.push(performance.now() - since)
    }
    return median(times)
  })
}
