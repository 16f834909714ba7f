/** The exit code of a child, or the signal that ended it. */
export type ExitResult =
  | { readonly code: number; readonly signal: null }
  | { readonly code: null; readonly signal: NodeJS.Signals }

/**
 * The cause of a permanent failure: the process could not be spawned at its first start or by a command, was not ready in time,
 * was not ready within its `startup_attempts`, or failed otherwise.
 */
export type FailureCause = 'spawn' | 'startup_timeout' | 'startup_attempts' | 'run'

/** The reason why everything stops. */
export type StopReason =
  /** The command `down`. */
  | { readonly type: 'asked' }
  /** SIGHUP means that the terminal was closed. */
  | { readonly type: 'signal'; readonly signal: NodeJS.Signals }
  /** A key of the running terminal. */
  | { readonly type: 'key'; readonly key: 'q' }
  /** The start has failed because of `process`; an earlier event has reported `message`. */
  | {
      readonly type: 'start_failed'
      readonly process: string
      readonly cause: FailureCause
      readonly message: string
    }
  /** `process` has failed permanently, and its `when_failed` is `stop`. */
  | { readonly type: 'process_failed'; readonly process: string; readonly reason: string }
  /** `process` has exited, and `--abort-on-exit` or `--exit-code-from` applies to it. */
  | { readonly type: 'exited'; readonly process: string; readonly exit: ExitResult }
  /** Follows the event `mqtt_broker_unreachable`. */
  | { readonly type: 'mqtt_broker_unreachable'; readonly address: string; readonly reason: string }

export type KillTrigger = NodeJS.Signals | 'q'

/** What has changed the configuration: the file, or a command that changes numbers of replicas. */
export type ConfigChange = 'reload' | 'scale'

/** The names of the processes that another configuration adds to the run, removes from it, changes and keeps. */
export interface ReloadDifference {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly string[]
  readonly unchanged: readonly string[]
}

/**
 * The events of the supervisor, which formats nothing; reporters (log lines, control API, systemd status) do. Times are in
 * milliseconds.
 */
export type SupervisorEvent =
  | {
      readonly type: 'process_started'
      readonly process: string
      readonly pid: number
      /** The number of consecutive restarts after an exit or a failure; 0 for a start by a command. */
      readonly attempt: number
      /** True if the process has run before, whatever starts it again. */
      readonly again: boolean
    }
  /** The readiness probe succeeded, for the first time or after `process_unhealthy`. Never without a readiness probe. */
  | {
      readonly type: 'process_ready'
      readonly process: string
      /** The time since the start, or since `process_unhealthy`. */
      readonly afterMs: number
      readonly wasUnhealthy: boolean
    }
  | { readonly type: 'process_unhealthy'; readonly process: string; readonly reason: string }
  /** The readiness probe was answered by a program that had the port before the process started. Emitted once for each child. */
  | { readonly type: 'port_occupied'; readonly process: string; readonly port: number; readonly owner: string }
  /** The liveness probe failed so often that the process is stopped. */
  | {
      readonly type: 'liveness_failed'
      readonly process: string
      readonly reason: string
      /** The number of consecutive failures. */
      readonly failures: number
      /** False if its policy does not restart the process. */
      readonly restarts: boolean
    }
  /** The child exited by itself. After a stop the event is `process_stopped`. */
  | {
      readonly type: 'process_exited'
      readonly process: string
      readonly exit: ExitResult
      /** True if the exit code is one of `success_exit_codes`. */
      readonly succeeded: boolean
      /** True if `process_completed` follows, which also has the exit. */
      readonly completes: boolean
      readonly uptimeMs: number
    }
  /** `maxAttempts` is Infinity without a limit. */
  | {
      readonly type: 'restart_scheduled'
      readonly process: string
      readonly attempt: number
      readonly maxAttempts: number
      readonly waitMs: number
    }
  /**
   * The process has ended `exits` times in a row and restarts without a limit. Emitted once for each series. `reason` and `uptimeMs`
   * are those of the last end; `everyMs` is the longest wait before a restart.
   */
  | {
      readonly type: 'restart_loop'
      readonly process: string
      readonly exits: number
      readonly reason: string
      readonly uptimeMs: number
      readonly everyMs: number
    }
  /** `message`: the command was not found (with the places searched) or is not executable, or its cwd is missing. */
  | { readonly type: 'spawn_failed'; readonly process: string; readonly message: string }
  /**
   * The process failed permanently. `isReported`: the event `spawn_failed` before it has the reason. `lastLines`: the last output,
   * if the process was never ready. `nextRun`: the next time (ISO 8601) at which its schedule runs it, only for a task with a
   * schedule; null if there is none.
   */
  | {
      readonly type: 'process_failed'
      readonly process: string
      readonly reason: string
      readonly isReported?: true
      readonly nextRun?: string | null
      readonly lastLines: readonly string[]
    }
  /** A trigger restarts the process; `because` is a text such as `src/app.js has changed`. */
  | { readonly type: 'process_restarting'; readonly process: string; readonly because: string }
  /** From now on, changes of these paths restart the process. */
  | { readonly type: 'watching'; readonly process: string; readonly paths: readonly string[] }
  /** The task runs at this time (ISO 8601), and then at the further times of its schedule. */
  | { readonly type: 'next_run'; readonly process: string; readonly at: string }
  /** The time for a run has come while the last run still lasts. Emitted once until the next run. */
  | { readonly type: 'run_skipped'; readonly process: string }
  /** A trigger of the process does not work; `trigger` is its key in the file. */
  | {
      readonly type: 'trigger_failed'
      readonly process: string
      readonly trigger: 'watch' | 'on_failed'
      readonly reason: string
    }
  | {
      readonly type: 'process_completed'
      readonly process: string
      readonly exit: ExitResult
      readonly afterMs: number
    }
  | { readonly type: 'process_skipped'; readonly process: string; readonly because: string }
  | { readonly type: 'process_stopping'; readonly process: string; readonly signal: NodeJS.Signals }
  /** The process did not stop within its shutdown time-out; its process group receives SIGKILL. */
  | { readonly type: 'process_killed'; readonly process: string; readonly afterMs: number }
  /** `wasKilled`: everything was killed before the process had stopped. */
  | { readonly type: 'process_stopped'; readonly process: string; readonly tookMs: number; readonly wasKilled?: true }
  /** Descendants that had left the process group were ended. `commands`: the command line of each, cut and without secrets. */
  | {
      readonly type: 'descendants_killed'
      readonly process: string
      readonly pids: readonly number[]
      readonly commands: readonly string[]
    }
  /**
   * A service exited with code 0, but processes that it had started still ran, which are stopped. Emitted once for each process.
   * `commands` as in `descendants_killed`, whose place this event takes.
   */
  | {
      readonly type: 'processes_left'
      readonly process: string
      readonly pids: readonly number[]
      readonly commands: readonly string[]
    }
  /** Processes still run after SIGKILL: they belong to another user or are stuck in the kernel. */
  | { readonly type: 'process_survived'; readonly process: string; readonly pids: readonly number[] }
  /**
   * The start or the stop waits: emitted after a second, then every ten seconds, once for each root cause. `cause`: the process to
   * wait for; null means the MQTT broker. `text`: `waiting for …` with its last answer. `waiters`: the processes that wait for it.
   */
  | {
      readonly type: 'waiting'
      readonly cause: string | null
      readonly text: string
      readonly waiters: readonly string[]
    }
  | { readonly type: 'mqtt_broker_unreachable'; readonly address: string; readonly reason: string }
  /** `stream` has no reader (EPIPE) or cannot be written (disk full). Supervision continues without it. */
  | { readonly type: 'output_closed'; readonly stream: 'stdout' | 'stderr'; readonly reason: string }
  /** The log file cannot be written; writing is retried every second. Emitted once per outage. */
  | { readonly type: 'log_file_failed'; readonly process: string; readonly path: string; readonly reason: string }
  /** The log file is written again; `lostLines` is the number of lines that it lacks. */
  | { readonly type: 'log_file_resumed'; readonly process: string; readonly path: string; readonly lostLines: number }
  /** The log file is closed, at the end or because its settings have changed; `lostLines` could not be written before. */
  | { readonly type: 'log_file_closed'; readonly process: string; readonly path: string; readonly lostLines: number }
  /**
   * Emitted when every process that is not left out is ready, running without a readiness probe, or completed; again only if one of
   * those without a probe exits within a second.
   */
  | { readonly type: 'all_ready'; readonly afterMs: number; readonly count: number }
  /**
   * Emitted before the last `all_ready`, when the start is over and all other processes are up. `count` is the number of processes
   * that are not left out.
   */
  | {
      readonly type: 'start_incomplete'
      readonly afterMs: number
      readonly count: number
      readonly failed: readonly string[]
      readonly skipped: readonly string[]
    }
  /** The control API listens at this URL. */
  | { readonly type: 'control_listening'; readonly url: string; readonly needsToken: boolean }
  /** A new configuration is in force. */
  | ({ readonly type: 'reloaded'; readonly cause: ConfigChange } & ReloadDifference)
  | { readonly type: 'stopping'; readonly reason: StopReason }
  /** Everything receives SIGKILL because of a second signal, or a second press of the key. */
  | { readonly type: 'killing'; readonly trigger: KillTrigger }
  /** `startFailure`: the process that has failed the start, and why; only after such a failure. */
  | {
      readonly type: 'stopped'
      readonly tookMs: number
      readonly startFailure?: { readonly process: string; readonly reason: string }
    }
  /** A bug: an event that cannot occur in the state of the process. It is ignored. */
  | { readonly type: 'internal_error'; readonly process: string; readonly message: string }
