import { text } from 'node:stream/consumers'
import { carryOut, parsePlan } from './stop-plan.ts'

/** What started with the orchestrator is gone within 10 s of its end: this, and what SIGKILL takes. */
const BUDGET_MS = 7000

// Run by the shell that waited for the orchestrator's end, with the last plan on stdin. Nothing stops it half-way.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
await carryOut(parsePlan(await text(process.stdin)), BUDGET_MS)
