import { dirname } from 'node:path'
import { text } from 'node:stream/consumers'
import { folderAt, removeKilledRun } from './run-folder.ts'
import { executeStopPlan, stopPlan } from './stop-plan.ts'

/** The time for a stop in order. The documented limit is 10 s; the rest is for SIGKILL to take effect. */
const BUDGET_MS = 7000

// Run by ponix-guard.sh, with the last plan on stdin. Signals do not interrupt it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
const plan = stopPlan.parse(JSON.parse(await text(process.stdin)))
await executeStopPlan(plan, { budgetMs: BUDGET_MS })
const lockPath = process.env['PONIX_GUARD_LOCK']
if (lockPath !== undefined) removeKilledRun(folderAt(dirname(lockPath)), plan.runTag)
