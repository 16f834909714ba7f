import type { ReloadDifference, StopReason, SupervisorEvent } from '../events.ts'
import type { ProcessGraph } from './graph.ts'
import type { ManagedProcess } from '../managed-process.ts'
import { isSettled } from './reconcile.ts'
import type { ReconciledProcess, StartRequest } from './snapshot.ts'

/** A process that is not up although a command or a reload has started it. */
export interface StartFailure {
  readonly process: string
  /** `backoff`: it has failed and starts again. */
  readonly state: 'failed' | 'skipped' | 'backoff'
  readonly reason: string
}

/** A process that something else has stopped or changed before it was up. `because` completes `web …`. */
export interface Superseded {
  readonly process: string
  readonly because: string
}

/** The outcome of a reload for the processes that it has started. */
export interface StartOutcome {
  readonly failed: readonly StartFailure[]
  readonly superseded: readonly Superseded[]
}

/** A reload whose configuration is in force. */
export interface Reload {
  readonly difference: ReloadDifference
  /** Resolves when each process that it starts is up, has ended or has failed, or waits for a process that is stopped. */
  readonly settled: () => Promise<StartOutcome>
}

/** Returns the failures of a request among these processes. */
export function failuresAmong(processes: Iterable<ManagedProcess>): readonly StartFailure[] {
  return [...processes].flatMap(({ name, state, request }): readonly StartFailure[] => {
    if (state.type === 'failed') return [{ process: name, state: 'failed', reason: state.reason }]
    if (state.type === 'skipped') return [{ process: name, state: 'skipped', reason: state.because }]
    const isRetried = state.type === 'backoff' && request !== null
    return isRetried ? [{ process: name, state: 'backoff', reason: state.reason }] : []
  })
}

/** Returns the processes that start because of a request and have not been up since. */
export function requestedBy(request: StartRequest, { all }: ProcessGraph<ManagedProcess>): readonly ManagedProcess[] {
  return all.filter((managed) => managed.request === request)
}

/** Returns whether the outcome of a reload, which has started these processes, is known. */
export function hasOutcome(
  request: StartRequest,
  started: readonly ManagedProcess[],
  graph: ProcessGraph<ManagedProcess>,
): boolean {
  const isOver = (managed: ManagedProcess) => isSettled(managed, graph, { untilUp: true })
  return requestedBy(request, graph).every(isOver) && !started.some((managed) => isBeingReplaced(managed, graph))
}

export function outcomeOfStart(
  request: StartRequest,
  started: readonly ManagedProcess[],
  graph: ProcessGraph<ManagedProcess>,
): StartOutcome {
  const superseded = started.flatMap((managed): readonly Superseded[] => {
    const because = supersededBecause(managed, request, graph)
    return because === null ? [] : [{ process: managed.name, because }]
  })
  return { failed: failuresAmong(requestedBy(request, graph)), superseded }
}

type StartedProcess = Pick<ReconciledProcess, 'name' | 'definition' | 'state' | 'hasBeenUp' | 'request' | 'goal'>

/** Returns whether it is not yet known if a later reload changes or removes the process. */
export function isBeingReplaced(managed: StartedProcess, graph: ProcessGraph<StartedProcess>): boolean {
  const { goal, name } = managed
  return goal.type === 'down' && goal.reason === 'replaced' && graph.get(name) === managed
}

/** Returns what has stopped or changed a process that `first` has started, before it was up; null if nothing has. */
export function supersededBecause(
  managed: StartedProcess,
  first: StartRequest,
  graph: ProcessGraph<StartedProcess>,
): string | null {
  const { name, goal, hasBeenUp, request } = managed
  if (hasBeenUp || request === first) return null
  const now = graph.get(name)
  if (now === null || now.state.type === 'disabled') return 'was removed by a later reload or scale'
  if (now !== managed) return 'was changed by a later reload'
  if (goal.type === 'up' || goal.reason === 'restarting') return 'was restarted'
  return goal.reason === 'by_hand' ? 'was stopped by another command' : 'was stopped with all others'
}

/** Returns the field of the event `stopped` for this reason of the stop. */
export function startFailureOf(
  reason: StopReason | null,
): Pick<Extract<SupervisorEvent, { type: 'stopped' }>, 'startFailure'> {
  if (reason?.type !== 'start_failed') return {}
  return { startFailure: { process: reason.process, reason: reason.message } }
}
