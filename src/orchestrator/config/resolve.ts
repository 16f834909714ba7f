import { realpathSync } from 'node:fs'
import { basename, dirname, resolve, join } from 'node:path'
import type { JsonPath } from './json-source.ts'
import type { ProblemList } from './problems.ts'
import type {
  DependencyCondition,
  ProbeCheck,
  ResolvedLog,
  ResolvedProbe,
  ResolvedProcess,
  ResolvedRestart,
} from './resolved.ts'
import { parseByteSize } from './schema-fields.ts'
import type { ConfigFile, ProbeFile, ProcessFile } from './schema.ts'
import type { Instance } from './selection.ts'
import { formatSocketAddress, parseSocketAddress, type SocketAddress } from './socket-address.ts'
import { type EnvFile, readEnvFile, extendPath, programFolders, type Variables, interpolate } from './variables.ts'

/** What all processes of one file have in common, and where problems go. */
export interface Surroundings {
  /** Absolute path of the configuration file. */
  readonly path: string
  readonly broker: SocketAddress
  /** The enabled process that is the broker. */
  readonly brokerProvider: string | null
  /** Every instance that runs, by name in the file. */
  readonly running: ReadonlyMap<string, readonly Instance[]>
  readonly inherited: Variables
  /** Names of variables of the orchestrator that no process gets. */
  readonly withheld: ReadonlySet<string>
  /** The file's own `env`, interpolated. */
  readonly shared: Variables
  /** False if the file's own `env` is wrong, so that a name may only seem to be unset. */
  readonly namesAreKnown: boolean
  readonly programFolders: readonly string[]
  readonly problems: ProblemList
}

/** Interpolates the file's own `env` and looks around. */
export function lookAround(
  options: Omit<Surroundings, 'shared' | 'namesAreKnown' | 'programFolders'>,
  env: ConfigFile['env'] | null,
): Surroundings {
  const scope = new Scope(options)
  scope.addInterpolated(env ?? {}, ['env'])
  const folders = programFolders(dirname(options.path))
  return { ...options, shared: scope.added, namesAreKnown: env !== null, programFolders: folders }
}

/** One process with everything filled in, looked up and decided. What cannot be goes to the surroundings' problems. */
export function resolveProcess(instance: Instance, around: Surroundings): ResolvedProcess {
  const { name, group, file } = instance
  const path = ['processes', group]
  const scope = new Scope(around)
  scope.add(around.shared)
  const replica: Variables = instance.replica === null ? {} : { PONIX_REPLICA: String(instance.replica) }
  scope.add(replica)
  scope.namesAreKnown = around.namesAreKnown
  for (const read of readEnvFiles(file, path, around)) {
    if (read.ok) scope.add(read.variables)
    else scope.namesAreKnown = false
  }
  scope.addInterpolated(file.env, [...path, 'env'])
  scope.add(replica)
  const env = childEnvironment(scope, around)
  scope.add(env)
  const args = file.args.map((arg, index) => scope.interpolate(arg, [...path, 'args', index]))
  const cwd = file.cwd === undefined ? '.' : scope.interpolate(file.cwd, [...path, 'cwd'])
  const forBroker = !file.shell && basename(file.command).startsWith('commonplace-')
  const usesExternal = name !== around.brokerProvider && (forBroker || scope.usedBroker)
  return {
    name,
    group,
    kind: file.kind,
    command: file.command,
    args: forBroker ? withBrokerFlag(args, around.broker) : args,
    shell: file.shell,
    cwd: resolve(dirname(around.path), cwd),
    env,
    dependsOn: resolveDependencies(file, usesExternal, around),
    usesExternal,
    readinessProbe: file.readiness_probe === undefined ? null : resolveProbe(file.readiness_probe),
    livenessProbe: file.liveness_probe === undefined ? null : resolveProbe(file.liveness_probe),
    startupTimeoutMs: file.startup_timeout_ms,
    restart: resolveRestart(file),
    whenFailed: file.when_failed,
    onDependencyRestart: file.on_dependency_restart,
    log: resolveLog(file, (text) => resolve(dirname(around.path), scope.interpolate(text, [...path, 'log', 'file']))),
    shutdown: { signal: file.shutdown.signal, timeoutMs: file.shutdown.timeout_ms },
  }
}

type ScopeSurroundings = Pick<Surroundings, 'broker' | 'problems' | 'inherited' | 'withheld'>

/** Variables as they come together, each layer seeing those before it. */
class Scope {
  readonly #around: ScopeSurroundings
  readonly #variables: Map<string, string>
  readonly #added = new Map<string, string>()
  usedBroker = false
  namesAreKnown = true

  constructor(around: ScopeSurroundings) {
    this.#around = around
    this.#variables = new Map(Object.entries(around.inherited))
  }

  /** What was added, without what was inherited. */
  get added(): Variables {
    return Object.fromEntries(this.#added)
  }

  get all(): Variables {
    return Object.fromEntries(this.#variables)
  }

  add(variables: Variables): void {
    for (const [name, value] of Object.entries(variables)) this.#set(name, value)
  }

  /** Adds variables one after the other: each may use those before it, and, as in `PATH=/x:${PATH}`, its own value so far. */
  addInterpolated(variables: Variables, path: JsonPath): void {
    for (const [name, value] of Object.entries(variables)) this.#set(name, this.interpolate(value, [...path, name]))
  }

  interpolate(text: string, path: JsonPath): string {
    const lookup = (name: string) => {
      if (name !== 'mqtt_broker') return this.#variables.get(name)
      this.usedBroker = true
      return formatSocketAddress(this.#around.broker)
    }
    const result = interpolate(text, lookup, this.#around.withheld)
    if (this.namesAreKnown) for (const problem of result.problems) this.#around.problems.add(path, problem)
    return result.text
  }

  #set(name: string, value: string): void {
    this.#variables.set(name, value)
    this.#added.set(name, value)
  }
}

function childEnvironment(scope: Scope, around: Surroundings): Variables {
  return {
    ...scope.all,
    PATH: extendPath(around.programFolders, scope.all['PATH']),
    MQTT_BROKER: scope.added['MQTT_BROKER'] ?? formatSocketAddress(around.broker),
  }
}

function readEnvFiles(file: ProcessFile, path: JsonPath, around: Surroundings): readonly EnvFile[] {
  const files = typeof file.env_file === 'string' ? [file.env_file] : (file.env_file ?? [])
  return files.map((name, index) => {
    const read = readEnvFile(resolve(dirname(around.path), name))
    const at = [...path, 'env_file', ...(typeof file.env_file === 'string' ? [] : [index])]
    if (!read.ok) around.problems.add(at, read.problem)
    return read
  })
}

function withBrokerFlag(args: readonly string[], broker: SocketAddress): readonly string[] {
  const given = args.some((arg) => arg === '--mqtt-broker' || arg.startsWith('--mqtt-broker='))
  return given ? args : [...args, '--mqtt-broker', formatSocketAddress(broker)]
}

/** The names in a process's `depends_on`, each once, with the condition if the file gives one. */
export function dependenciesOf(file: ProcessFile): ReadonlyMap<string, DependencyCondition | null> {
  if (Array.isArray(file.depends_on)) return new Map(file.depends_on.map((name) => [name, null]))
  return new Map(Object.entries(file.depends_on).map(([name, { condition }]) => [name, condition]))
}

/** What a process that names no condition waits for. */
function defaultCondition(dependency: ProcessFile): DependencyCondition {
  if (dependency.kind === 'task') return 'completed_successfully'
  return dependency.readiness_probe === undefined ? 'started' : 'ready'
}

/** Those that run; a user of the broker also depends on the process that provides it, so that it is started after and stopped before. */
function resolveDependencies(
  file: ProcessFile,
  usesExternal: boolean,
  around: Surroundings,
): ResolvedProcess['dependsOn'] {
  const dependencies = new Map<string, DependencyCondition>()
  for (const [name, condition] of dependenciesOf(file)) {
    for (const dependency of around.running.get(name) ?? []) {
      dependencies.set(dependency.name, condition ?? defaultCondition(dependency.file))
    }
  }
  const provider = around.brokerProvider
  if (usesExternal && provider !== null && !dependencies.has(provider)) dependencies.set(provider, 'ready')
  return Array.from(dependencies, ([name, condition]) => ({ name, condition }))
}

/** How the file says that a process restarts, or the default of its kind. */
export function restartPolicy(file: ProcessFile): ResolvedRestart['policy'] {
  return file.restart.policy ?? (file.kind === 'task' ? 'never' : 'always')
}

function resolveRestart(file: ProcessFile): ResolvedRestart {
  const { backoff_ms, max_backoff_ms, jitter, reset_after_ms, max_attempts, window_ms } = file.restart
  return {
    policy: restartPolicy(file),
    backoffMs: backoff_ms,
    maxBackoffMs: max_backoff_ms,
    jitter,
    resetAfterMs: reset_after_ms,
    maxAttempts: max_attempts ?? Number.POSITIVE_INFINITY,
    windowMs: window_ms ?? null,
  }
}

function resolveLog({ log }: ProcessFile, pathOf: (file: string) => string): ResolvedLog {
  const file =
    log.file === undefined
      ? null
      : {
          path: pathOf(log.file),
          maxSize: parseByteSize(log.max_size ?? '') ?? 10_000_000,
          maxFiles: log.max_files ?? 5,
        }
  return { file, quiet: log.quiet }
}

function resolveProbe(file: ProbeFile): ResolvedProbe {
  return {
    check: resolveCheck(file),
    initialDelayMs: file.initial_delay_ms,
    periodMs: { beforeReady: file.period_ms ?? 200, afterReady: file.period_ms ?? 5000 },
    timeoutMs: file.timeout_ms,
    successThreshold: file.success_threshold,
    failureThreshold: file.failure_threshold,
  }
}

function resolveCheck(file: ProbeFile): ProbeCheck {
  const address = file.tcp_socket === undefined ? null : parseSocketAddress(file.tcp_socket)
  if (address !== null) return { type: 'tcp_socket', ...address }
  if (file.http_get !== undefined) return { type: 'http_get', url: file.http_get }
  if (file.log_line !== undefined) return { type: 'log_line', pattern: new RegExp(file.log_line) }
  if (file.exec === undefined) return { type: 'notify' }
  return { type: 'exec', command: typeof file.exec === 'string' ? ['/bin/sh', '-c', file.exec] : file.exec }
}

/** No two processes write to one file, and none to what another one's file is renamed to. */
export function checkLogFiles(processes: readonly ResolvedProcess[], problems: ProblemList): void {
  const writers = new Map<string, ResolvedProcess>()
  const logging = processes.flatMap((process) =>
    process.log.file === null ? [] : [{ process, ...process.log.file, path: realPath(process.log.file.path) }],
  )
  for (const { process, path } of logging) {
    const earlier = writers.get(path)
    if (earlier === undefined) writers.set(path, process)
    else problems.add(['processes', process.group, 'log', 'file'], sameFile(process, earlier))
  }
  for (const { process, path } of logging) {
    const [, current = '', old] = /^(.*)\.([1-9]\d{0,3})$/s.exec(path) ?? []
    const other = writers.get(current)
    if (other === undefined || Number(old) > (other.log.file?.maxFiles ?? 0)) continue
    const message = `is what an old file of process "${other.name}" is called; give each its own name`
    problems.add(['processes', process.group, 'log', 'file'], message)
  }
}

function sameFile({ group }: ResolvedProcess, earlier: ResolvedProcess): string {
  if (earlier.group !== group) return `process "${earlier.name}" writes to this file already; give each its own`
  return 'all instances would write to this file; give each its own, with ${PONIX_REPLICA} in the name'
}

/** The same file by whatever path its folder is named. */
function realPath(path: string): string {
  try {
    return join(realpathSync(dirname(path)), basename(path))
  } catch {
    return path
  }
}
