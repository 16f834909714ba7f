import type { ReloadDifference } from '../events.ts'
import type { ProcessGraph } from './graph.ts'
import type { ManagedProcess } from '../managed-process.ts'
import type { StartRequest } from './snapshot.ts'

/** A process that is not up although a command or a reload has started it. */
export interface StartFailure {
  readonly process: string
  /** `backoff`: it has failed and starts again. */
  readonly state: 'failed' | 'skipped' | 'backoff'
  readonly reason: string
}

/** The outcome of a reload for the processes that it has started. */
export interface StartOutcome {
  readonly failed: readonly StartFailure[]
  /** Names of processes that another reload or command has started again before they were up. */
  readonly superseded: readonly string[]
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

/** Returns whether another request has started the process again before it was up. */
export function isSuperseded({ hasBeenUp, request }: ManagedProcess, first: StartRequest): boolean {
  return !hasBeenUp && request !== null && request !== first
}
