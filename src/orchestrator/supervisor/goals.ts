import type { ProcessGraph } from './graph.ts'
import type { ManagedProcess } from './managed-process.ts'
import type { DownReason } from './state.ts'

export function setGoal(processes: readonly ManagedProcess[], reason: DownReason): void {
  for (const managed of processes) managed.goal = { type: 'down', reason }
}

export function isDownFor({ goal }: ManagedProcess, reason: DownReason): boolean {
  return goal.type === 'down' && goal.reason === reason
}

/** Returns whether a trigger can restart the process: its goal is to run, and it does not wait for its start. */
export function isRestartable({ goal, state }: ManagedProcess): boolean {
  return goal.type === 'up' && state.type !== 'waiting' && state.type !== 'disabled'
}

/** Names of processes whose goal a command has set. */
export interface HandControlled {
  readonly stopped: readonly string[]
  /** Left-out processes that a command has started. */
  readonly started: readonly string[]
}

/** Returns which of these processes were stopped or started by a command, for `restoreHandControl`. */
export function handControlled(processes: readonly ManagedProcess[]): HandControlled {
  const isStopped = (managed: ManagedProcess) => isDownFor(managed, 'by_hand')
  const isStarted = (managed: ManagedProcess) =>
    managed.definition.leftOut !== null && !isDisabled(managed) && !isStopped(managed)
  return {
    stopped: processes.filter(isStopped).map(({ name }) => name),
    started: processes.filter(isStarted).map(({ name }) => name),
  }
}

/** Sets the goals of the new versions of these processes: a stopped one stays down, a left-out one that was started starts. */
export function restoreHandControl(graph: ProcessGraph<ManagedProcess>, { stopped, started }: HandControlled): void {
  setGoal(
    graph.named(stopped).filter((managed) => !isDisabled(managed)),
    'by_hand',
  )
  for (const managed of graph.named(started).filter(isDisabled)) managed.reset()
}

function isDisabled({ state }: ManagedProcess): boolean {
  return state.type === 'disabled'
}
