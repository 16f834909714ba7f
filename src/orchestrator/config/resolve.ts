import { realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { messageOf } from './errors.ts'
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
import type { ConfigFile, ProbeFile, ProcessFile } from './schema.ts'
import { parseByteSize } from './schema-fields.ts'
import type { Instance } from './selection.ts'
import { formatSocketAddress, parseSocketAddress, type SocketAddress } from './socket-address.ts'
import { extendPath, interpolate, programFolders, readEnvFile, type Variables } from './variables.ts'

/** The inputs of all processes of one file. */
export interface ResolveOptions {
  /** Absolute path of the configuration file. */
  readonly path: string
  readonly broker: SocketAddress
  /** The enabled process that is the broker. */
  readonly brokerProvider: string | null
  /** The instances that run, by their name in the file. */
  readonly running: ReadonlyMap<string, readonly Instance[]>
  readonly inherited: Variables
  /** The orchestrator's variables that no process receives. */
  readonly withheld: ReadonlySet<string>
  readonly problems: ProblemList
}

export interface ResolveContext extends ResolveOptions {
  /** The file's own `env`, interpolated. */
  readonly shared: Variables
  /** False if the file's own `env` is invalid: it could set a variable that seems unset. */
  readonly namesAreKnown: boolean
  readonly programFolders: readonly string[]
}

/** Interpolates the file's own `env`; null if it is invalid. */
export function resolveContext(options: ResolveOptions, env: ConfigFile['env'] | null): ResolveContext {
  const scope = new Scope(options)
  scope.addInterpolated(env ?? {}, ['env'])
  const folders = programFolders(dirname(options.path))
  return { ...options, shared: scope.added, namesAreKnown: env !== null, programFolders: folders }
}

/** Interpolates one process and fills in all defaults. Adds problems to the context. */
export function resolveProcess(instance: Instance, context: ResolveContext): ResolvedProcess {
  const { name, configName, file } = instance
  const path = ['processes', configName]
  const folder = dirname(context.path)
  const replica: Variables = instance.replica === null ? {} : { PONIX_REPLICA: String(instance.replica) }
  const scope = new Scope(context)
  scope.add(context.shared)
  scope.add(replica)
  scope.namesAreKnown = context.namesAreKnown
  addEnvFiles(scope, file, path, context)
  scope.addInterpolated(file.env, [...path, 'env'])
  scope.add(replica)
  const env: Variables = {
    ...scope.all,
    PATH: extendPath(context.programFolders, scope.all['PATH']),
    MQTT_BROKER: scope.added['MQTT_BROKER'] ?? formatSocketAddress(context.broker),
  }
  scope.add(env)
  const args = file.args.map((arg, index) => scope.interpolate(arg, [...path, 'args', index]))
  const cwd = file.cwd === undefined ? '.' : scope.interpolate(file.cwd, [...path, 'cwd'])
  const isCommonplace = !file.shell && basename(file.command).startsWith('commonplace-')
  const usesExternal = name !== context.brokerProvider && (isCommonplace || scope.usesBroker)
  const log = resolveLog(file, (text) => resolve(folder, scope.interpolate(text, [...path, 'log', 'file'])))
  return {
    name,
    configName,
    kind: file.kind,
    command: file.command,
    args: isCommonplace ? withBrokerFlag(args, context.broker) : args,
    shell: file.shell,
    cwd: resolve(folder, cwd),
    env,
    dependsOn: resolveDependencies(file, usesExternal, context),
    usesExternal,
    readinessProbe: file.readiness_probe === undefined ? null : resolveProbe(file.readiness_probe),
    livenessProbe: file.liveness_probe === undefined ? null : resolveProbe(file.liveness_probe),
    startupTimeoutMs: file.startup_timeout_ms,
    restart: resolveRestart(file),
    whenFailed: file.when_failed,
    onDependencyRestart: file.on_dependency_restart,
    log,
    shutdown: { signal: file.shutdown.signal, timeoutMs: file.shutdown.timeout_ms },
  }
}

/** The variables of one process, in layers; each layer can reference the earlier layers. */
class Scope {
  readonly #options: ResolveOptions
  readonly #variables: Map<string, string>
  readonly #added = new Map<string, string>()
  usesBroker = false
  namesAreKnown = true

  constructor(options: ResolveOptions) {
    this.#options = options
    this.#variables = new Map(Object.entries(options.inherited))
  }

  /** All variables except the inherited ones. */
  get added(): Variables {
    return Object.fromEntries(this.#added)
  }

  get all(): Variables {
    return Object.fromEntries(this.#variables)
  }

  add(variables: Variables): void {
    for (const [name, value] of Object.entries(variables)) {
      this.#variables.set(name, value)
      this.#added.set(name, value)
    }
  }

  /** Adds variables; each can reference earlier variables and, as in `PATH=/x:${PATH}`, its previous value. */
  addInterpolated(variables: Variables, path: JsonPath): void {
    for (const [name, value] of Object.entries(variables)) {
      this.add({ [name]: this.interpolate(value, [...path, name]) })
    }
  }

  interpolate(text: string, path: JsonPath): string {
    const { broker, problems, withheld } = this.#options
    const lookup = (name: string) => {
      if (name !== 'mqtt_broker') return this.#variables.get(name)
      this.usesBroker = true
      return formatSocketAddress(broker)
    }
    const result = interpolate(text, lookup, withheld)
    if (this.namesAreKnown) for (const problem of result.problems) problems.add(path, problem)
    return result.text
  }
}

/** Adds the variables of `env_file`; the variables of an unreadable file are unknown. */
function addEnvFiles(scope: Scope, { env_file }: ProcessFile, path: JsonPath, context: ResolveContext): void {
  for (const [index, name] of [env_file ?? []].flat().entries()) {
    try {
      scope.add(readEnvFile(resolve(dirname(context.path), name)))
    } catch (error) {
      scope.namesAreKnown = false
      const at = [...path, 'env_file', ...(typeof env_file === 'string' ? [] : [index])]
      context.problems.add(at, messageOf(error))
    }
  }
}

function withBrokerFlag(args: readonly string[], broker: SocketAddress): readonly string[] {
  const hasFlag = args.some((arg) => arg === '--mqtt-broker' || arg.startsWith('--mqtt-broker='))
  return hasFlag ? args : [...args, '--mqtt-broker', formatSocketAddress(broker)]
}

/** Returns the entries of `depends_on`; the condition is null if the file sets none. */
export function configuredDependencies(file: ProcessFile): ReadonlyMap<string, DependencyCondition | null> {
  if (Array.isArray(file.depends_on)) return new Map(file.depends_on.map((name) => [name, null]))
  return new Map(Object.entries(file.depends_on).map(([name, { condition }]) => [name, condition]))
}

function defaultCondition(dependency: ProcessFile): DependencyCondition {
  if (dependency.kind === 'task') return 'completed_successfully'
  return dependency.readiness_probe === undefined ? 'started' : 'ready'
}

/** Returns the running dependencies. Users of the broker also depend on the process that provides it. */
function resolveDependencies(
  file: ProcessFile,
  usesExternal: boolean,
  { brokerProvider, running }: ResolveContext,
): ResolvedProcess['dependsOn'] {
  const dependencies = new Map<string, DependencyCondition>()
  for (const [configName, condition] of configuredDependencies(file)) {
    for (const { name, file: dependency } of running.get(configName) ?? []) {
      dependencies.set(name, condition ?? defaultCondition(dependency))
    }
  }
  if (usesExternal && brokerProvider !== null && !dependencies.has(brokerProvider)) {
    dependencies.set(brokerProvider, 'ready')
  }
  return Array.from(dependencies, ([name, condition]) => ({ name, condition }))
}

export function restartPolicy({ restart, kind }: ProcessFile): ResolvedRestart['policy'] {
  return restart.policy ?? (kind === 'task' ? 'never' : 'always')
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
  const { file, max_size = '', max_files = 5, quiet } = log
  if (file === undefined) return { file: null, quiet }
  return { file: { path: pathOf(file), maxSize: parseByteSize(max_size) ?? 10_000_000, maxFiles: max_files }, quiet }
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

/** Adds problems for processes that write to the same file, or to a rotated file of another process. */
export function checkLogFiles(processes: readonly ResolvedProcess[], problems: ProblemList): void {
  const writers = new Map<string, ResolvedProcess>()
  const logging = processes.flatMap((definition) => {
    const { file } = definition.log
    return file === null ? [] : [{ definition, path: realPath(file.path) }]
  })
  const add = ({ configName }: ResolvedProcess, message: string) =>
    problems.add(['processes', configName, 'log', 'file'], message)
  for (const { definition, path } of logging) {
    const earlier = writers.get(path)
    if (earlier === undefined) writers.set(path, definition)
    else if (earlier.configName === definition.configName) {
      add(definition, 'all replicas would write to this file; use ${PONIX_REPLICA} in its name')
    } else add(definition, `process "${earlier.name}" already writes to this file; choose another one`)
  }
  for (const { definition, path } of logging) {
    const [, current = '', number] = /^(.*)\.([1-9]\d{0,3})$/s.exec(path) ?? []
    const other = writers.get(current)
    if (other === undefined || Number(number) > (other.log.file?.maxFiles ?? 0)) continue
    add(definition, `is the name of a rotated file of process "${other.name}"; choose another one`)
  }
}

/** Returns the path with symbolic links of the folder resolved. */
function realPath(path: string): string {
  try {
    return join(realpathSync(dirname(path)), basename(path))
  } catch {
    return path
  }
}
