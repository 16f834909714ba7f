import { constants } from 'node:os'
import { z } from 'zod'
import { endEscaped } from '../orphans.ts'
import { ProcessGroup } from '../process-group.ts'
import { groupMembers, markedProcesses } from '../process-table.ts'

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

/**
 * Stops what an orchestrator left behind, dependents before what they depend on, and kills what is left when `budgetMs` is
 * over. Resolves when nothing is left. A group is touched only while one of its members still carries the mark: its id may
 * belong to somebody else by now.
 */
export async function carryOut(plan: GuardPlan, budgetMs: number): Promise<void> {
  const until = performance.now() + budgetMs
  const left = () => Math.max(0, until - performance.now())
  const ours = ownGroups(plan)
  const stops = new Map<string, Promise<void>>()
  const byName = new Map(plan.processes.map((process) => [process.name, process]))

  const stopOnce = (process: GuardedProcess): Promise<void> => {
    const known = stops.get(process.name)
    if (known !== undefined) return known
    const stopping = stop(process)
    stops.set(process.name, stopping)
    return stopping
  }
  const stop = async (process: GuardedProcess): Promise<void> => {
    const dependents = process.dependents.flatMap((name) => byName.get(name) ?? [])
    await Promise.all(dependents.map(stopOnce))
    const groups = process.groups.filter((group) => ours.has(group))
    await Promise.all(groups.map((group) => empty(group, process, left())))
  }

  await Promise.all(plan.processes.map(stopOnce))
  await endEscaped(plan.mark, { killNow: () => left() === 0, emit: () => undefined })
}

async function empty(group: number, { signal, timeoutMs }: GuardedProcess, leftMs: number): Promise<void> {
  const options = { signal, timeoutMs: Math.min(timeoutMs, leftMs), leaderExited: null, onKill: () => undefined }
  await new ProcessGroup(group).terminate(options)
}

/** Where there is no /proc to look into, every group of the plan is taken for ours. */
function ownGroups({ mark, processes }: GuardPlan): ReadonlySet<number> {
  const groups = processes.flatMap((process) => process.groups)
  if (process.platform !== 'linux') return new Set(groups)
  const marked = new Set(markedProcesses(`${mark}/`).map(({ pid }) => pid))
  return new Set(groups.filter((group) => groupMembers(group).some((pid) => marked.has(pid))))
}
