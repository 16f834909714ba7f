import { z } from 'zod'
import { constants } from 'node:os'

/** One process as the guard needs it: what lives of it, and how it is stopped. */
const guardedProcess = z.strictObject({
  name: z.string(),
  /** Ids of its living process groups. */
  groups: z.array(z.int().positive()),
  signal: z.custom<NodeJS.Signals>((value) => typeof value === 'string' && value in constants.signals),
  timeoutMs: z.number(),
  /** Names of those that are to be down before it is stopped. */
  dependents: z.array(z.string()),
})

const guardPlan = z.strictObject({
  /** What the variable of every child begins with. */
  mark: z.string().min(1),
  processes: z.array(guardedProcess),
})

/** What the guard does when the orchestrator is gone without a word. */
export type GuardPlan = z.infer<typeof guardPlan>
export type GuardedProcess = GuardPlan['processes'][number]

/** Throws for anything that is not a plan. */
export function parsePlan(line: string): GuardPlan {
  return guardPlan.parse(JSON.parse(line))
}
