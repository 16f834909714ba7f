import { dependentsOf } from '../../config/dependency-graph.ts'
import type { ResolvedProcess } from '../../config/resolved.ts'
import { byProcess, stillLiving, systemSource, type TaggedProcess } from '../system/process-table.ts'
import { orphansOf, type RunRecord } from './run-folder.ts'
import { executeStopPlan, type StopPlan } from './stop-plan.ts'

/** The part of a definition that says how and in which order to stop a process. */
export type StopDefinition = Pick<ResolvedProcess, 'name' | 'dependsOn' | 'shutdown'>

const DEFAULT_SHUTDOWN = { signal: 'SIGTERM', timeoutMs: 5000 } as const

/**
 * Returns the plan to stop the orphans of a run. `definitions` are those of the file as it is now; a process that it does not have
 * receives SIGTERM immediately. `groupOf` returns the process group of a pid, null if it is gone.
 */
export function planOrphans(
  runTag: string,
  orphans: readonly TaggedProcess[],
  definitions: readonly StopDefinition[],
  groupOf: (pid: number) => number | null,
): StopPlan {
  const pids = byProcess(orphans)
  const groups = (name: string) => [...new Set((pids.get(name) ?? []).flatMap((pid) => groupOf(pid) ?? []))]
  const dependents = dependentsOf(definitions)
  const known = definitions.map(({ name, shutdown: { signal, timeoutMs } }) => ({
    name,
    groups: groups(name),
    signal,
    timeoutMs,
    dependents: [...(dependents.get(name) ?? [])],
  }))
  const others = [...pids.keys()].filter((name) => !dependents.has(name))
  const unknown = others.map((name) => ({ name, groups: groups(name), ...DEFAULT_SHUTDOWN, dependents: [] }))
  return { runTag, processes: [...known, ...unknown] }
}

/** Stops the orphans of a run whose orchestrator and guard were killed, dependents first, and reports the result of each process. */
export async function stopOrphans(
  record: RunRecord,
  definitions: readonly StopDefinition[],
  warn: (message: string) => void,
): Promise<void> {
  const orphans = orphansOf(record)
  if (orphans.length === 0) return
  const groups = new Map(systemSource.list(orphans.map(({ pid }) => pid)).map(({ pid, group }) => [pid, group]))
  const plan = planOrphans(record.mark, orphans, definitions, (pid) => groups.get(pid) ?? null)
  const unreported = new Map(byProcess(orphans))
  const report = (name: string) => {
    const pids = unreported.get(name) ?? []
    const left = new Set(stillLiving(orphans).map(({ pid }) => pid))
    const stopped = pids.filter((pid) => !left.has(pid))
    unreported.set(
      name,
      pids.filter((pid) => left.has(pid)),
    )
    if (stopped.length > 0) warn(`stopped orphans of ${name} from the previous run (${stopped.join(', ')})`)
  }
  // Each process has its own time limit.
  await executeStopPlan(plan, { budgetMs: Number.POSITIVE_INFINITY, onStopped: report })
  for (const name of unreported.keys()) report(name)
  for (const [name, pids] of unreported) {
    if (pids.length > 0) warn(`cannot stop orphans of ${name} from the previous run (${pids.join(', ')})`)
  }
}
