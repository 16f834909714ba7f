import type { FailureCause, StopReason } from '../events.ts'
import type { ExternalState } from '../external.ts'
import type { GraphProcess, ProcessGraph } from './graph.ts'
import type { Goal, StopOutcome } from './state.ts'

/** `up` when the start is over; `stopping` while everything stops; `killed` when it stops by SIGKILL. */
export type Phase = 'starting' | 'up' | 'stopping' | 'killed'

/** The result of the start that has been announced; after `incomplete`, `ready` can follow. */
export type Announcement = 'none' | 'incomplete' | 'ready'

/** Identifies one command or reload, in all processes that it starts. */
export type StartRequest = symbol

/** A permanent failure of a process whose consequences are not settled yet. */
export interface Failure {
  readonly process: string
  readonly reason: string
  readonly cause: FailureCause
}

export interface ReconciledProcess extends GraphProcess {
  readonly goal: Goal
  /**
   * The request of a command or a reload that starts the process; null if there is none, or the process has been up since.
   * Meanwhile, a failure concerns the sender of the request and does not fail the start.
   */
  readonly request: StartRequest | null
  /** True if the process, in its current version, has been ready, running without a readiness probe, or completed. */
  readonly hasBeenUp: boolean
  /** True if a child of the process, in its current or an earlier version, has been started. */
  readonly hasRun: boolean
  /** Start of the child that runs, on the clock of `Snapshot.now`; null if none runs. */
  readonly startedAt: number | null
  /** True in `backoff` when the wait has ended. */
  readonly backoffIsOver: boolean
  /** True if no child and no known orphan of a child runs. */
  readonly isFullyStopped: boolean
  /** True if earlier children may have left orphans, and no reap is in progress. */
  readonly needsReaping: boolean
}

export interface Snapshot<P extends ReconciledProcess> {
  readonly phase: Phase
  readonly announced: Announcement
  readonly graph: ProcessGraph<P>
  readonly external: ExternalState
  readonly failures: readonly Failure[]
  /** True if the process that ended last has failed when a command or a reload started it: the user can correct it. */
  readonly isHeld: boolean
  /** True while processes are down only until the new configuration takes effect. */
  readonly isReloading: boolean
  /** On the clock of `performance.now()`. */
  readonly now: number
}

export type Action<P> =
  | { readonly type: 'start' | 'reset' | 'reap'; readonly managed: P }
  | { readonly type: 'stop'; readonly managed: P; readonly outcome: StopOutcome }
  | { readonly type: 'skip'; readonly managed: P; readonly because: string }
  | { readonly type: 'set_goal'; readonly managed: P; readonly goal: Goal }
  /** Makes a process part of a request. */
  | { readonly type: 'set_request'; readonly managed: P; readonly request: StartRequest }
  | {
      readonly type:
        | 'check_external'
        | 'forget_external'
        | 'fail_external'
        | 'finish_start'
        | 'announce_ready'
        | 'announce_incomplete'
        | 'forget_failures'
        | 'end'
    }
  | { readonly type: 'report_failure'; readonly failure: Failure }
  | { readonly type: 'stop_all'; readonly reason: StopReason }

export type Rule = <P extends ReconciledProcess>(snapshot: Snapshot<P>) => readonly Action<P>[]
