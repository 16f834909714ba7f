import { constants } from 'node:os'
import { z } from 'zod'
import type { ProcessGraph } from '../rules/graph.ts'
import type { ManagedProcess } from '../managed-process.ts'
import { endEscaped } from '../child/orphans.ts'
import { ProcessGroup } from '../child/process-group.ts'
import { groupMembers, systemSource, taggedProcesses } from '../system/process-table.ts'
import type { ProcessSource } from '../system/process-source.ts'

const plannedStop = z.strictObject({
  name: z.string(),
  /** Ids of its running process groups. */
  groups: z.array(z.int().positive()),
  signal: z.custom<NodeJS.Signals>((value) => typeof value === 'string' && value in constants.signals),
  timeoutMs: z.number(),
  /** Names of the processes that must stop first. */
  dependents: z.array(z.string()),
})
type PlannedStop = z.infer<typeof plannedStop>

export const stopPlan = z.strictObject({
  /** Prefix of the environment variable that marks every child of the run. */
  runTag: z.string().min(1),
  processes: z.array(plannedStop),
})

/** The processes for the guard to stop after the orchestrator was killed. */
export type StopPlan = z.infer<typeof stopPlan>

/** Returns the plan to stop the running children of a graph. */
export function planStop(runTag: string, graph: ProcessGraph<ManagedProcess>): StopPlan {
  const processes = graph.all.map((managed) => ({
    name: managed.name,
    groups: [...managed.groups.ids],
    signal: managed.definition.shutdown.signal,
    timeoutMs: managed.definition.shutdown.timeoutMs,
    dependents: graph.dependentsOf(managed).map(({ name }) => name),
  }))
  return { runTag, processes }
}

export interface StopPlanOptions {
  readonly budgetMs: number
  readonly source?: ProcessSource
  /** Called when the groups of a process have been stopped or killed. */
  readonly onStopped?: (name: string) => void
}

/**
 * Stops the processes of a plan, dependents first, and kills the rest after `budgetMs`. Resolves when none is left. A group
 * is signalled only while one of its members has the run tag, because the kernel may have reused its id.
 */
export async function executeStopPlan(
  plan: StopPlan,
  { budgetMs, source = systemSource, onStopped = () => undefined }: StopPlanOptions,
): Promise<void> {
  const deadline = performance.now() + budgetMs
  const leftMs = () => Math.max(0, deadline - performance.now())
  const ours = taggedGroups(plan, source)
  const stops = new Map<string, Promise<void>>()
  const byName = new Map(plan.processes.map((planned) => [planned.name, planned]))

  const stopOnce = (planned: PlannedStop): Promise<void> => {
    const stopping = stops.get(planned.name) ?? stop(planned)
    stops.set(planned.name, stopping)
    return stopping
  }
  const stop = async ({ name: stopped, dependents, groups, signal, timeoutMs }: PlannedStop): Promise<void> => {
    await Promise.all(dependents.flatMap((name) => byName.get(name) ?? []).map(stopOnce))
    const options = { signal, timeoutMs: Math.min(timeoutMs, leftMs()), leaderExited: null, onKill: () => undefined }
    await Promise.all(groups.filter((id) => ours.has(id)).map((id) => new ProcessGroup(id, source).terminate(options)))
    onStopped(stopped)
  }

  await Promise.all(plan.processes.map(stopOnce))
  await endEscaped(plan.runTag, { killNow: () => leftMs() === 0, emit: () => undefined, source })
}

/** Returns the groups of the plan with the run tag; all groups if the system may hide run tags. */
function taggedGroups({ runTag, processes }: StopPlan, source: ProcessSource): ReadonlySet<number> {
  const groups = processes.flatMap((planned) => planned.groups)
  if (!source.seesAllTags) return new Set(groups)
  const tagged = new Set(taggedProcesses(`${runTag}/`, source).map(({ pid }) => pid))
  return new Set(groups.filter((group) => groupMembers(group, undefined, source).some((pid) => tagged.has(pid))))
}
