/** How a child ended: with a code, or by a signal. */
export type ExitResult =
  | { readonly code: number; readonly signal: null }
  | { readonly code: null; readonly signal: NodeJS.Signals }

/** Why the orchestrator stops everything. */
export type StopReason =
  /** Through the control socket. */
  | { readonly type: 'asked' }
  | { readonly type: 'signal'; readonly signal: NodeJS.Signals }
  /** `process` could not be started, a task failed for good, or a dependent waited in vain: the start as a whole has failed. */
  | { readonly type: 'start_failed'; readonly process: string; readonly message: string }
  /** `process` has failed for good, and its `when_failed` is `stop`. */
  | { readonly type: 'process_failed'; readonly process: string; readonly reason: string }
  /** `--abort-on-exit` or `--exit-code-from`: this one ended, so all do. */
  | { readonly type: 'exited'; readonly process: string; readonly exit: ExitResult }
  /** Announced by `mqtt_broker_unreachable` just before. */
  | { readonly type: 'mqtt_broker_unreachable'; readonly address: string; readonly reason: string }

/**
 * Everything that can happen, as one union. The engine emits these and formats nothing; reporters (log lines, control API,
 * systemd status) turn them into words. Times are in milliseconds.
 */
export type SupervisorEvent =
  /** `attempt`: 0 for a first start, else the number of the restart in a row. */
  | { readonly type: 'process_started'; readonly process: string; readonly pid: number; readonly attempt: number }
  /** Its readiness probe succeeded: the first time, or again after `process_unhealthy`. Never for one without such a probe. */
  | { readonly type: 'process_ready'; readonly process: string; readonly afterMs: number }
  | { readonly type: 'process_unhealthy'; readonly process: string; readonly reason: string }
  /** Its liveness probe failed: it is stopped now and, as its restart policy says, started again. */
  | { readonly type: 'liveness_failed'; readonly process: string; readonly reason: string }
  /** Ended by itself. An end that was asked for is `process_stopped`. */
  | { readonly type: 'process_exited'; readonly process: string; readonly exit: ExitResult; readonly uptimeMs: number }
  /** `maxAttempts` is Infinity without a limit. */
  | {
      readonly type: 'restart_scheduled'
      readonly process: string
      readonly attempt: number
      readonly maxAttempts: number
      readonly waitMs: number
    }
  /** `command` was not found, is not executable, or its cwd is missing: `message` says which, and where it was looked for. */
  | { readonly type: 'spawn_failed'; readonly process: string; readonly message: string }
  /** Failed for good. `lastLines`: what it said last, when it never became ready. */
  | {
      readonly type: 'process_failed'
      readonly process: string
      readonly reason: string
      readonly lastLines: readonly string[]
    }
  | { readonly type: 'process_completed'; readonly process: string; readonly afterMs: number }
  | { readonly type: 'process_skipped'; readonly process: string; readonly because: string }
  | { readonly type: 'process_stopping'; readonly process: string; readonly signal: NodeJS.Signals }
  /** Did not end within its shutdown timeout; its group was sent SIGKILL. */
  | { readonly type: 'process_killed'; readonly process: string; readonly afterMs: number }
  | { readonly type: 'process_stopped'; readonly process: string; readonly tookMs: number }
  /** These outlived their group's end (they had made sessions of their own) and were ended too. */
  | { readonly type: 'descendants_killed'; readonly process: string; readonly pids: readonly number[] }
  /** These could not be killed, not even with SIGKILL (another user's, or stuck in the kernel). */
  | { readonly type: 'process_survived'; readonly process: string; readonly pids: readonly number[] }
  | { readonly type: 'mqtt_broker_waiting'; readonly address: string }
  | { readonly type: 'mqtt_broker_unreachable'; readonly address: string; readonly reason: string }
  /** Nobody reads `stream` any more (EPIPE) or it cannot be written to (disk full). Supervision goes on without it. */
  | { readonly type: 'output_closed'; readonly stream: 'stdout' | 'stderr'; readonly reason: string }
  /** Its log file cannot be written to; it is tried again every second. Supervision goes on. Once until it can be again. */
  | { readonly type: 'log_file_failed'; readonly process: string; readonly path: string; readonly reason: string }
  /** Its log file is written to again; this many lines are missing in it. */
  | { readonly type: 'log_file_resumed'; readonly process: string; readonly path: string; readonly lostLines: number }
  /** Once, when every process is ready (or running, if it has no probe) or completed. */
  | { readonly type: 'all_ready'; readonly afterMs: number; readonly count: number }
  /** The control API answers at this URL. */
  | { readonly type: 'control_listening'; readonly url: string; readonly needsToken: boolean }
  /** A changed configuration is in force; the names are of processes. */
  | {
      readonly type: 'reloaded'
      readonly added: readonly string[]
      readonly removed: readonly string[]
      readonly changed: readonly string[]
      readonly unchanged: readonly string[]
    }
  | { readonly type: 'stopping'; readonly reason: StopReason }
  | { readonly type: 'stopped'; readonly tookMs: number }
  /** A bug: the orchestrator ignores what it should not have received, and continues. */
  | { readonly type: 'internal_error'; readonly process: string; readonly message: string }
