/** How a child ended: with a code, or by a signal. */
export type ExitResult =
  | { readonly code: number; readonly signal: null }
  | { readonly code: null; readonly signal: NodeJS.Signals }

/** Why the orchestrator stops everything. */
export type StopReason =
  | { readonly type: 'signal'; readonly signal: NodeJS.Signals }
  /** `process` could not be started, or a task failed for good: the start as a whole has failed. */
  | { readonly type: 'start_failed'; readonly process: string; readonly message: string }
  | { readonly type: 'exited'; readonly process: string; readonly exit: ExitResult }

/**
 * Everything that can happen, as one union. The engine emits these and formats nothing; reporters (log lines, control API,
 * systemd status) turn them into words. Times are in milliseconds.
 */
export type SupervisorEvent =
  | { readonly type: 'process_started'; readonly process: string; readonly pid: number; readonly attempt: number }
  | { readonly type: 'process_ready'; readonly process: string; readonly afterMs: number }
  | { readonly type: 'process_unhealthy'; readonly process: string; readonly reason: string }
  | { readonly type: 'process_exited'; readonly process: string; readonly exit: ExitResult; readonly uptimeMs: number }
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
  | { readonly type: 'process_killed'; readonly process: string; readonly afterMs: number }
  | { readonly type: 'process_stopped'; readonly process: string; readonly tookMs: number }
  | { readonly type: 'mqtt_broker_waiting'; readonly address: string }
  | { readonly type: 'mqtt_broker_unreachable'; readonly address: string; readonly reason: string }
  | { readonly type: 'all_ready'; readonly afterMs: number; readonly count: number }
  | { readonly type: 'stopping'; readonly reason: StopReason }
  | { readonly type: 'stopped'; readonly tookMs: number }
