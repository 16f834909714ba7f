import type { SocketAddress } from './socket-address.ts'

/**
 * The checked configuration: defaults are filled in and variables interpolated.
 */
export interface ResolvedConfig {
  /** Absolute path of the configuration file. */
  readonly path: string
  /** The files that were read, as shown in messages: those that `path` extends, `path`, and its local file. */
  readonly files: readonly string[]
  /** The processes in the order of the file. */
  readonly processes: readonly ResolvedProcess[]
  /** Null if neither the file nor the command line sets an address; then no process uses it. */
  readonly external: ExternalDependency | null
  /** Null if the orchestrator accepts no commands. */
  readonly control: ResolvedControl | null
}

export interface ResolvedControl {
  /** Absolute path; null means the path in the run folder. */
  readonly socketPath: string | null
  readonly http: ResolvedHttp | null
}

/** The TCP address of the control API. */
export interface ResolvedHttp extends SocketAddress {
  /** Digest of the token that requests need; null if they need none, because the address is a loopback address. */
  readonly tokenDigest: string | null
}

/** A TCP address that must accept a connection before its users start: the MQTT broker. */
export interface ExternalDependency extends SocketAddress {
  /** False if the address is not checked, because it has no users and was not set explicitly. */
  readonly required: boolean
  /** The enabled process that listens there, or null. The check waits until this process is ready. */
  readonly providedBy: string | null
}

/** A service without a readiness probe is `ready` when it is `started`. */
export type DependencyCondition = 'started' | 'ready' | 'completed' | 'completed_successfully'

export interface ResolvedProcess {
  /** Unique: the name in the file, or the name of a replica, such as `worker#2`. */
  readonly name: string
  /** The name in the file, which replicas share. */
  readonly configName: string
  readonly kind: 'service' | 'task'
  /** 128 + N also means an end by signal N. */
  readonly successExitCodes: readonly number[]
  readonly command: string
  readonly args: readonly string[]
  /** True if `command` is a line for `/bin/sh -c`; `args` is then empty. */
  readonly shell: boolean
  /** True if stdin, stdout and stderr are a pseudo-terminal. */
  readonly tty: boolean
  /** Absolute path. */
  readonly cwd: string
  /** The complete environment of the child, except NOTIFY_FD. */
  readonly env: Readonly<Record<string, string>>
  /** The patterns of `secret_names` of the file: further names of secrets, see `isSecretName`. */
  readonly secretNames: readonly string[]
  readonly dependsOn: readonly { readonly name: string; readonly condition: DependencyCondition }[]
  /** True if the process starts only after the external dependency accepted a connection. False for its provider. */
  readonly usesExternal: boolean
  readonly readinessProbe: ResolvedProbe | null
  /** A probe of type `tcp_socket`, `http_get` or `exec`. */
  readonly livenessProbe: ResolvedProbe | null
  readonly startupTimeoutMs: number
  readonly restart: ResolvedRestart
  /** Whether the others continue or everything stops after a permanent failure of the process. */
  readonly whenFailed: 'isolate' | 'stop'
  /** `restart`: the process restarts together with its dependencies. */
  readonly onDependencyRestart: 'ignore' | 'restart'
  /** The files whose changes restart the process; null if it does not watch. */
  readonly watch: ResolvedWatch | null
  /** The cron expression of a task that runs at certain times, valid for `parseCron`; null for all others. */
  readonly schedule: string | null
  /** Bytes of resident memory of the process group, above which the process restarts; null: no limit. */
  readonly memoryLimit: number | null
  /** Runs after a permanent failure; null: nothing runs. */
  readonly onFailed: ResolvedHook | null
  readonly log: ResolvedLog
  readonly shutdown: { readonly signal: NodeJS.Signals; readonly timeoutMs: number }
  /** The names of the profiles to which the process belongs; empty if it belongs to every run. */
  readonly profiles: readonly string[]
  /**
   * Null if the process belongs to the run. Otherwise it starts only by a command, and the text completes `"worker" …`, such as
   * `was left out by --disable`.
   */
  readonly leftOut: string | null
  /** The reason why the process cannot be started, such as an unset variable; null if there is none. Only for left-out processes. */
  readonly problem: string | null
}

/** A command or an HTTP request that reports an event. */
export type ResolvedHook =
  | {
      readonly type: 'command'
      readonly command: string
      readonly args: readonly string[]
      /** Absolute path. */
      readonly cwd: string
    }
  /** An http or https URL, which can contain secrets. */
  | { readonly type: 'webhook'; readonly url: string }

export interface ResolvedWatch {
  /** The absolute folder to which relative paths and rules refer. */
  readonly folder: string
  /** Paths and globs. */
  readonly paths: readonly string[]
  /** Rules as in .gitignore. */
  readonly ignore: readonly string[]
  /** The time without a change after which the process restarts. */
  readonly debounceMs: number
}

export interface ResolvedLog {
  readonly file: LogFileSettings | null
  /** True if the lines are not written to the orchestrator's output. */
  readonly quiet: boolean
}

export interface LogFileSettings {
  /** Absolute path. */
  readonly path: string
  /** Bytes; the file is rotated before it grows larger. */
  readonly maxSize: number
  /** Number of rotated files, `path.1` is the newest. */
  readonly maxFiles: number
}

export interface ResolvedRestart {
  readonly policy: 'always' | 'on_failure' | 'never'
  readonly backoffMs: number
  readonly maxBackoffMs: number
  /** Random fraction of the delay, 0 to 1. */
  readonly jitter: number
  readonly resetAfterMs: number
  /** Limit of consecutive restarts, or of restarts within `windowMs`; Infinity means no limit. */
  readonly maxAttempts: number
  /** Limit of starts in a row before the process is up for the first time; Infinity means no limit. */
  readonly startupAttempts: number
  /** Null if `maxAttempts` counts consecutive restarts. */
  readonly windowMs: number | null
}

export type ProbeCheck =
  | { readonly type: 'tcp_socket'; readonly host: string; readonly port: number }
  | { readonly type: 'http_get'; readonly url: string }
  /** Argument vector, run in the cwd and env of the process. */
  | { readonly type: 'exec'; readonly command: readonly [string, ...string[]] }
  | { readonly type: 'log_line'; readonly pattern: RegExp }
  | { readonly type: 'notify' }

export interface ResolvedProbe {
  readonly check: ProbeCheck
  readonly initialDelayMs: number
  readonly periodMs: { readonly beforeReady: number; readonly afterReady: number }
  readonly timeoutMs: number
  readonly successThreshold: number
  readonly failureThreshold: number
}
