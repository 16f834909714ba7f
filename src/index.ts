// Generated from the schema: npx vitest run src/orchestrator/config/schema/schema.test.ts -u

export interface CommonplaceConfig {
  /** path of `commonplace.schema.json`, for editors */
  readonly $schema?: string
  /** file, or list of files, that this file extends: objects are merged, other values replace, `null` removes; relative to the folder of this file */
  readonly extends?: string | readonly string[]
  /** environment variables of every process. Default: {} */
  readonly env?: Readonly<Record<string, string>>
  /** file of `NAME=value` lines for every process, or a list of files in which later files override earlier ones; `env` overrides them. Default: [] */
  readonly env_file?: string | EnvFileConfig | readonly (string | EnvFileConfig)[]
  /** further names of variables, flags and keys with secret values, which are masked in all messages and not exported; `*` is any text and `?` any character. Default: [] */
  readonly secret_names?: readonly string[]
  /** `false`: the orchestrator accepts no commands; an object sets its addresses. Default: true */
  readonly control?: boolean | ControlConfig
  /** as `on_failed` of a process, for every process without this key */
  readonly on_failed?: string | OnFailedConfig
  /** the processes, by name */
  readonly processes: Readonly<Record<string, ProcessConfig>>
  /** address of the MQTT broker that processes use, `host:port`. Default: none. Variables are interpolated */
  readonly mqtt_broker?: string
}

export interface ProcessConfig {
  /** program name, searched on PATH, or path; with `shell` a line for `/bin/sh -c` */
  readonly command: string
  /** arguments, passed without a shell. Default: [] */
  readonly args?: readonly string[]
  /** `true`: `command` is a line for `/bin/sh -c`, without `args`. Default: false */
  readonly shell?: boolean
  /** `true`: stdin, stdout and stderr of the process are a terminal of its own, so that it shows colours and progress, and `attach NAME` can type into it. Default: false */
  readonly tty?: boolean
  /** working directory, relative to the folder of the file. Default: that folder */
  readonly cwd?: string
  /** environment variables of this process. Default: {} */
  readonly env?: Readonly<Record<string, string>>
  /** file of `NAME=value` lines, or a list of files in which later files override earlier ones; `{"path": …, "required": false}` can be missing. Default: [] */
  readonly env_file?: string | EnvFileConfig | readonly (string | EnvFileConfig)[]
  /** list of names, or an object of name → `{"condition": …}`. Default condition: `completed_successfully` for a task, `ready` for a service with a readiness probe, else `started`. Default: [] */
  readonly depends_on?: readonly string[] | Readonly<Record<string, DependencyConfig>>
  /** `service` runs until it is stopped; `task` runs once, and exit code 0 is success. Default: "service" */
  readonly kind?: 'service' | 'task'
  /** exit codes that mean success; 128 + N also means an end by signal N, so 143 means SIGTERM. Default: [0] */
  readonly success_exit_codes?: readonly number[]
  /** determines when the process is ready. Default: as soon as it runs */
  readonly readiness_probe?: ReadinessProbeConfig
  /** restarts a ready process when this probe fails; `tcp_socket`, `http_get` or `exec` */
  readonly liveness_probe?: LivenessProbeConfig
  /** a process that is not ready after this time fails; its last 20 lines are shown. Default: 120000 */
  readonly startup_timeout_ms?: number
  /** restarts the process after it exits without a request to stop */
  readonly restart?: RestartConfig
  /** after a permanent failure, `isolate` keeps the other processes running, `stop` stops everything. Default: "isolate" */
  readonly when_failed?: 'isolate' | 'stop'
  /** only for a service: stops it in order and starts it again when the resident memory of its process group exceeds this number of bytes, or a size such as `"150MB"` or `"1GiB"`. Default: no limit */
  readonly memory_limit?: number | string
  /** runs when this process has failed permanently, with PONIX_PROCESS and PONIX_REASON in its environment: a line for `/bin/sh`, a program, or a webhook. Default: `on_failed` of the file */
  readonly on_failed?: string | OnFailedConfig
  /** `restart`: when a dependency restarts, this process stops before it and starts after it. Default: "ignore" */
  readonly on_dependency_restart?: 'ignore' | 'restart'
  /** `true`, or an object: restarts the process when files change, also after it has ended or failed; a task runs again. `true` watches its `cwd`. Default: false */
  readonly watch?: boolean | WatchConfig
  /** only for a task: runs it at these times and not at the start. A cron expression in local time, `minute hour day month weekday`, with an optional first field for seconds; or `@yearly`, `@monthly`, `@weekly`, `@daily`, `@hourly` */
  readonly schedule?: string
  /** how the process is stopped */
  readonly shutdown?: ShutdownConfig
  /** number of instances, `name#1` … `name#N`, each with its number in `PONIX_REPLICA`. A dependency on `name` is a dependency on all of them. Default: one instance, without a number */
  readonly replicas?: number
  /** writes the lines of the process to a file, or hides them on the terminal */
  readonly log?: LogConfig
  /** names of profiles: the process runs only if `--profile` or `--only` names one of them, or the process. Default: it always runs. Default: [] */
  readonly profiles?: readonly string[]
  /** `true`: the process is not started, unless `--only` names it; dependencies on it are satisfied. Default: false */
  readonly disabled?: boolean
  /** `"mqtt_broker"`: this process starts when the broker accepts connections, and gets its address in MQTT_BROKER */
  readonly uses?: 'mqtt_broker'
  /** `"mqtt_broker"`: this process is the broker; users of the broker wait until it is ready */
  readonly provides?: 'mqtt_broker'
}

export interface LogConfig {
  /** file for the lines, without prefix; relative to the folder of the configuration, missing folders are created. Variables are interpolated: with `replicas` it needs `${PONIX_REPLICA}` */
  readonly file?: string
  /** a number of bytes, or a size such as `"10MB"` or `"64KiB"`; a larger file is rotated to `file.1`. Default: 10 MB */
  readonly max_size?: number | string
  /** rotated files to keep, `file.1` (the newest) to `file.N`. Default: 5 */
  readonly max_files?: number
  /** `true`: the lines are not shown on the terminal, only in `file` and by the command `logs`. Default: false */
  readonly quiet?: boolean
}

export interface ShutdownConfig {
  /** signal that stops the process. Default: "SIGTERM" */
  readonly signal?:
    | 'SIGTERM'
    | 'SIGINT'
    | 'SIGQUIT'
    | 'SIGHUP'
    | 'SIGUSR1'
    | 'SIGUSR2'
    | 'SIGABRT'
    | 'SIGWINCH'
    | 'SIGPWR'
    | 'SIGKILL'
  /** the process is killed with SIGKILL if it still runs after this time. Default: 5000 */
  readonly timeout_ms?: number
}

export interface WatchConfig {
  /** files, folders and globs (`*`, `**`, `?`, `[a-z]`), relative to the folder of the file. Default: the `cwd` of the process. Variables are interpolated */
  readonly paths?: readonly string[]
  /** rules as in `.gitignore`, relative to the folder of the file. `node_modules`, `.git` and the log files of processes are always ignored. Default: [] */
  readonly ignore?: readonly string[]
  /** the process restarts when this time has passed since the last change. Default: 200 */
  readonly debounce_ms?: number
}

export interface RestartConfig {
  /** `always`, `on_failure` (after an exit that is not a success) or `never`. Default: `always` for a service, `never` for a task */
  readonly policy?: 'always' | 'on_failure' | 'never'
  /** delay before a restart: min(`max_backoff_ms`, `backoff_ms` · 2^(attempt−1)). Default: 500 */
  readonly backoff_ms?: number
  /** upper limit of the delay. Default: 10000 */
  readonly max_backoff_ms?: number
  /** random fraction of the delay, 0 to 1. Default: 0 */
  readonly jitter?: number
  /** attempts count from 0 again after this uptime. Default: 30000 */
  readonly reset_after_ms?: number
  /** limit of consecutive restarts, after which the process has failed permanently. Default: no limit */
  readonly max_attempts?: number
  /** limit of starts in a row until the process is ready for the first time; then it has failed, and so has the start. Restarts of a process that was ready are not limited. Default: no limit */
  readonly startup_attempts?: number
  /** `max_attempts` limits the restarts within this time instead of consecutive ones */
  readonly window_ms?: number
}

export interface LivenessProbeConfig {
  /** `host:port`; succeeds if a TCP connection is accepted */
  readonly tcp_socket?: string
  /** URL; succeeds with a status of 2xx or 3xx */
  readonly http_get?: string
  /** program and arguments as a list, or a line for `/bin/sh -c`; succeeds with exit code 0 */
  readonly exec?: string | readonly [string, ...string[]]
  /** delay before the first probe. Default: 0 */
  readonly initial_delay_ms?: number
  /** time between two probes. Default: 5000 */
  readonly period_ms?: number
  /** a probe that takes longer fails. Default: 2000 */
  readonly timeout_ms?: number
  /** no effect: one success resets the count of failures. Default: 1 */
  readonly success_threshold?: number
  /** consecutive failures until the process is restarted. Default: 3 */
  readonly failure_threshold?: number
}

export interface ReadinessProbeConfig {
  /** `host:port`; succeeds if a TCP connection is accepted */
  readonly tcp_socket?: string
  /** URL; succeeds with a status of 2xx or 3xx */
  readonly http_get?: string
  /** program and arguments as a list, or a line for `/bin/sh -c`; succeeds with exit code 0 */
  readonly exec?: string | readonly [string, ...string[]]
  /** regular expression; succeeds when a line of stdout or stderr matches */
  readonly log_line?: string
  /** `true`; succeeds when the process writes a newline to the file descriptor in `NOTIFY_FD` */
  readonly notify?: true
  /** delay before the first probe. Default: 0 */
  readonly initial_delay_ms?: number
  /** time between two probes. Default: 200 until the first success, then 5000 */
  readonly period_ms?: number
  /** a probe that takes longer fails. Default: 2000 */
  readonly timeout_ms?: number
  /** consecutive successes until the process is ready. Default: 1 */
  readonly success_threshold?: number
  /** consecutive failures until a ready process is unhealthy. Default: 3 */
  readonly failure_threshold?: number
}

export interface DependencyConfig {
  /** `started`, `ready` (its readiness probe succeeded), `completed` (it exited) or `completed_successfully` */
  readonly condition: 'started' | 'ready' | 'completed' | 'completed_successfully'
}

export interface OnFailedConfig {
  /** program, run without a shell. Variables are interpolated */
  readonly command?: string
  /** its arguments. Variables are interpolated */
  readonly args?: readonly string[]
  /** URL that receives a JSON object by POST. Variables are interpolated */
  readonly webhook?: string
}

export interface ControlConfig {
  /** path of the socket for the commands, relative to the folder of the file; missing folders are created. Default: a path in the run folder. Variables are interpolated */
  readonly socket?: string
  /** `host:port`, or a port of 127.0.0.1: serves the control API over TCP, for browsers and Prometheus. Default: none. An address that other machines can reach needs a `token`. Variables are interpolated */
  readonly http?: number | string
  /** requests over `http` need `Authorization: Bearer TOKEN`. Use a variable: the variables in the token are not passed to the processes */
  readonly token?: string
}

export interface EnvFileConfig {
  /** path of the file, relative to the folder of this file. Variables are interpolated */
  readonly path: string
  /** `false`: the file can be missing. Default: true */
  readonly required?: boolean
}

/** Returns the configuration unchanged, with types that let editors complete and check its keys. */
export function defineConfig(config: CommonplaceConfig): CommonplaceConfig {
  return config
}
