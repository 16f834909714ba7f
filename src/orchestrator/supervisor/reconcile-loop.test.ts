import { expect, test } from 'vitest'
import { snapshotOf } from '../../../test/rig/orchestrator/rule-snapshot.ts'
import { ReconcileLoop } from './reconcile-loop.ts'
import type { Announcement, ReconciledProcess } from './rules/snapshot.ts'

test('an action that becomes possible while the loop ends is executed', async () => {
  const clock = [999.9, 1000.1]
  let announced: Announcement = 'none'
  const executed: string[] = []
  const loop = new ReconcileLoop<ReconciledProcess>({
    snapshot: () => {
      const now = (clock.length > 1 ? clock.shift() : clock[0]) ?? 0
      return snapshotOf({ web: { state: 'running again', startedAt: 0 } }, { announced, now })
    },
    execute: ({ type }) => {
      announced = 'ready'
      executed.push(type)
    },
    onSettled: () => undefined,
  })
  loop.run()
  await expect.poll(() => executed).toEqual(['announce_ready'])
  loop.end()
})
