/**
 * The configuration as the engine wants it: defaults filled in, names interpolated, conditions decided, disabled processes
 * gone (a dependency on one is satisfied and does not appear). Everything here was checked; the engine trusts it.
 */
export interface ResolvedConfig {
  /** Absolute path of the file it came from. */
  readonly path: string
  /** In the order of the file. */
  readonly processes: readonly ResolvedProcess[]
  readonly external: ExternalDependency
  /** How the running orchestrator is spoken to; null: not at all. */
  readonly control: ResolvedControl | null
}

export interface ResolvedControl {
  /** Absolute; null: the one in the folder of the run. */
  readonly socketPath: string | null
  readonly http: ResolvedHttp | null
}

/** Where the control API is over TCP. */
export interface ResolvedHttp {
  readonly host: string
  readonly port: number
  /** Stands for the token that requests need; null: they need none, and the address is one of this machine's own. */
  readonly tokenDigest: string | null
}

/** A TCP address that must accept a connection before its users start: the MQTT broker. */
export interface ExternalDependency {
  readonly host: string
  readonly port: number
  /** False: it is not checked, because it has no user and was not given for one. */
  readonly required: boolean
  /** The enabled process that listens there, if one does. The check then waits until that process is ready. */
  readonly providedBy: string | null
}

/** What a dependent waits for. `ready` of a service without a readiness probe is `started`. */
export type DependencyCondition = 'started' | 'ready' | 'completed' | 'completed_successfully'

export interface ResolvedProcess {
  /** Unique: its name in the file, or of an instance that and its number, as in `worker#2`. */
  readonly name: string
  /** Its name in the file, which all instances of a process have in common. */
  readonly group: string
  readonly kind: 'service' | 'task'
  readonly command: string
  readonly args: readonly string[]
  /** True: `command` is a line for `/bin/sh -c`, and args are empty. */
  readonly shell: boolean
  /** Absolute. */
  readonly cwd: string
  /** The child's whole environment; nothing else is passed on (but NOTIFY_FD, which the engine adds). */
  readonly env: Readonly<Record<string, string>>
  readonly dependsOn: readonly { readonly name: string; readonly condition: DependencyCondition }[]
  /** Starts only after the external dependency accepted a connection. False for the process that provides it. */
  readonly usesExternal: boolean
  readonly readinessProbe: ResolvedProbe | null
  /** A process that fails it is stopped and started again. Only of those that ask: `tcp_socket`, `http_get`, `exec`. */
  readonly livenessProbe: ResolvedProbe | null
  readonly startupTimeoutMs: number
  readonly restart: ResolvedRestart
  /** When it has failed for good: the others go on, or everything stops. */
  readonly whenFailed: 'isolate' | 'stop'
  /** When something it depends on is started again: nothing, or it goes down before and up after it. */
  readonly onDependencyRestart: 'ignore' | 'restart'
  readonly log: ResolvedLog
  readonly shutdown: { readonly signal: NodeJS.Signals; readonly timeoutMs: number }
}

export interface ResolvedLog {
  /** Where its lines go beside the orchestrator's output. */
  readonly file: LogFileSettings | null
  /** Its lines do not go to the orchestrator's output. */
  readonly quiet: boolean
}

export interface LogFileSettings {
  /** Absolute. */
  readonly path: string
  /** Bytes; what would make the file larger goes to a new one. */
  readonly maxSize: number
  /** Old files that are kept, `path.1` the newest. */
  readonly maxFiles: number
}

export interface ResolvedRestart {
  readonly policy: 'always' | 'on_failure' | 'never'
  readonly backoffMs: number
  readonly maxBackoffMs: number
  /** Fraction of the wait that is random, 0 to 1. */
  readonly jitter: number
  readonly resetAfterMs: number
  /** Restarts, in a row or within `windowMs`, before the process has failed for good; Infinity if there is no limit. */
  readonly maxAttempts: number
  /** `maxAttempts` counts the restarts of this last while; null: those in a row. */
  readonly windowMs: number | null
}

export type ProbeCheck =
  | { readonly type: 'tcp_socket'; readonly host: string; readonly port: number }
  | { readonly type: 'http_get'; readonly url: string }
  /** Argument vector, run with the process's cwd and env. A string in the file became `['/bin/sh', '-c', line]`. */
  | { readonly type: 'exec'; readonly command: readonly [string, ...string[]] }
  | { readonly type: 'log_line'; readonly pattern: RegExp }
  | { readonly type: 'notify' }

export interface ResolvedProbe {
  readonly check: ProbeCheck
  readonly initialDelayMs: number
  /** Until the first success 200 by default, 5000 after it; one number in the file sets both. */
  readonly periodMs: { readonly beforeReady: number; readonly afterReady: number }
  readonly timeoutMs: number
  readonly successThreshold: number
  readonly failureThreshold: number
}
