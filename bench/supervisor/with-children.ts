import { ContenderRun } from './contender-run.ts'
import type { Contender } from './contender.ts'
import { RollCall } from './roll-call.ts'

/** Brings up `count` children under a contender, lets `measure` do its work, and leaves nothing behind. */
export async function withChildren<T>(
  contender: Contender,
  { scratch, count, restarts }: { readonly scratch: string; readonly count: number; readonly restarts: boolean },
  measure: (run: ContenderRun, rollCall: RollCall, upAfterMs: number) => Promise<T>,
): Promise<T> {
  const rollCall = new RollCall(scratch)
  try {
    const run = new ContenderRun(contender, scratch, {
      restarts,
      children: () => Array.from({ length: count }, (_, child) => rollCall.child(`child${child}`)),
    })
    try {
      await rollCall.started(count)
      return await measure(run, rollCall, performance.now() - run.startedAt)
    } finally {
      run.dispose()
    }
  } finally {
    rollCall.dispose()
  }
}
