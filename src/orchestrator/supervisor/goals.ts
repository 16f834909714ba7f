import type { ExitResult } from './events.ts'
import { isUp, type ProcessGraph } from './rules/graph.ts'
import type { ManagedProcess } from './managed-process.ts'
import { hasSucceeded } from './rules/restart-policy.ts'
import type { StartRequest } from './rules/snapshot.ts'
import { type DownReason, isDownFor } from './rules/state.ts'

/** Sets the goal of processes to be down. `request`: of a command or a reload that starts them again, or null. */
export function setGoal(processes: readonly ManagedProcess[], reason: DownReason, request: StartRequest | null): void {
  for (const managed of processes) {
    managed.goal = { type: 'down', reason }
    managed.request = request
  }
}

/**
 * Returns whether the process is up, or is a task that its schedule runs: the result of one run is not a state of the whole. A task
 * that was stopped manually has no next run.
 */
export function isReady({ definition, state, goal }: ManagedProcess): boolean {
  if (definition.schedule === null) return isUp(definition, state)
  return goal.type === 'up' && state.type !== 'disabled'
}

/** Returns the number of processes that run at the start, or that a command has started. */
export function countActive({ all }: ProcessGraph<ManagedProcess>): number {
  return all.filter(({ state }) => state.type !== 'disabled' && state.type !== 'scheduled').length
}

/** Returns which of the active processes have failed or were skipped. */
export function startResult(graph: ProcessGraph<ManagedProcess>) {
  const namesIn = (type: 'failed' | 'skipped') =>
    graph.all.filter(({ state }) => state.type === type).map(({ name }) => name)
  return { count: countActive(graph), failed: namesIn('failed'), skipped: namesIn('skipped') }
}

/** Returns whether the exit of this process ends the run (`--abort-on-exit`, `--exit-code-from`). */
export function endsRun(
  managed: ManagedProcess,
  exit: ExitResult,
  graph: ProcessGraph<ManagedProcess>,
  { abortOnExit, exitCodeFrom }: { readonly abortOnExit: boolean; readonly exitCodeFrom: string | null },
): boolean {
  const { name, definition } = managed
  if (name === exitCodeFrom) return true
  // A task that succeeded and has dependents is part of the start, and one with a schedule runs again.
  const isStep = hasSucceeded(definition, exit) && graph.dependentsOf(managed).length > 0
  return abortOnExit && !isStep && definition.schedule === null
}

/** Names of processes whose goal a command has set. */
export interface HandControlled {
  readonly stopped: readonly string[]
  /** Left-out processes that a command has started. */
  readonly started: readonly string[]
}

/** Returns which of these processes were stopped or started by a command, for `restoreHandControl`. */
export function handControlled(processes: readonly ManagedProcess[]): HandControlled {
  return {
    stopped: processes.filter(isStoppedByHand).map(({ name }) => name),
    started: processes.filter(isStartedByHand).map(({ name }) => name),
  }
}

/** Returns the names in the file of left-out processes of which a command has started an instance. */
export function startedByHand({ all }: ProcessGraph<ManagedProcess>): ReadonlySet<string> {
  return new Set(all.filter(isStartedByHand).map(({ definition }) => definition.configName))
}

/** Sets the goals of the new versions of these processes: a stopped one stays down, a left-out one that was started starts. */
export function restoreHandControl(graph: ProcessGraph<ManagedProcess>, { stopped, started }: HandControlled): void {
  setGoal(
    graph.named(stopped).filter((managed) => !isDisabled(managed)),
    'by_hand',
    null,
  )
  for (const managed of graph.named(started).filter(isDisabled)) managed.reset()
}

function isStoppedByHand(managed: ManagedProcess): boolean {
  return isDownFor(managed, 'by_hand')
}

function isStartedByHand(managed: ManagedProcess): boolean {
  return managed.definition.leftOut !== null && !isDisabled(managed) && !isStoppedByHand(managed)
}

function isDisabled({ state }: ManagedProcess): boolean {
  return state.type === 'disabled'
}
