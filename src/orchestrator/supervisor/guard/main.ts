import { text } from 'node:stream/consumers'
import { executeStopPlan, stopPlan } from './stop-plan.ts'

/** The time for a stop in order. The documented limit is 10 s; the rest is for SIGKILL to take effect. */
const BUDGET_MS = 7000

// Run by the guard's shell, with the last plan on stdin. Signals do not interrupt it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
await executeStopPlan(stopPlan.parse(JSON.parse(await text(process.stdin))), { budgetMs: BUDGET_MS })
