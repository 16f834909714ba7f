import { resolve } from 'node:path'
import { isBrokerCommand, isNamedUser, isProvider, withBrokerFlag } from './broker.ts'
import { messageOf } from './errors.ts'
import { folderOf, type JsonNode, type JsonPath } from './json-source.ts'
import { ProblemTexts } from './problems.ts'
import { resolveLog } from './resolve-log.ts'
import { resolveProbe } from './resolve-probe.ts'
import { resolveWatch, type WatchContext } from './resolve-watch.ts'
import type { DependencyCondition, ResolvedProcess, ResolvedRestart } from './resolved.ts'
import type { ConfigFile } from './schema/file.ts'
import type { ProcessFile } from './schema/process.ts'
import { Scope, type ScopeOptions } from './scope.ts'
import type { Instance } from './selection.ts'
import { formatSocketAddress } from './socket-address.ts'
import { extendPath, programFolders, readEnvFile, type Variables } from './variables.ts'

/** The inputs of all processes of one file. */
export interface ResolveOptions extends ScopeOptions {
  /** The merged configuration files. */
  readonly root: JsonNode
  /** The enabled process that is the broker. */
  readonly brokerProvider: string | null
  /** All instances, by their name in the file. */
  readonly instances: ReadonlyMap<string, readonly Instance[]>
  /** How the command line changes the key `watch` of a process, by its name in the file. */
  readonly requestedWatch: (configName: string) => WatchContext['requested']
}

export interface ResolveContext extends ResolveOptions {
  /** The file's own `env`, interpolated. */
  readonly shared: Variables
  /** False if the file's own `env` is invalid: it could set a variable that seems unset. */
  readonly namesAreKnown: boolean
  /** Returns the folders at the start of the PATH of a process whose file is in this folder. */
  readonly programFolders: (folder: string) => readonly string[]
}

/** Interpolates the file's own `env`; null if it is invalid. */
export function resolveContext(options: ResolveOptions, env: ConfigFile['env'] | null): ResolveContext {
  const scope = new Scope(options)
  scope.addInterpolated(env ?? {}, ['env'])
  const found = new Map<string, readonly string[]>()
  const foldersFor = (folder: string) => {
    const known = found.get(folder)
    if (known !== undefined) return known
    const folders = [...new Set([...programFolders(folder), ...programFolders(options.root.source.folder)])]
    found.set(folder, folders)
    return folders
  }
  return { ...options, shared: scope.added, namesAreKnown: env !== null, programFolders: foldersFor }
}

/**
 * Interpolates one process and fills in all defaults. Adds problems to the context; the problems of a left-out process are no mistakes
 * of the file and become its `problem`.
 */
export function resolveProcess(instance: Instance, context: ResolveContext): ResolvedProcess {
  if (instance.leftOut === null) return resolveInstance(instance, context)
  const problems = new ProblemTexts()
  return { ...resolveInstance(instance, { ...context, problems }), problem: problems.text }
}

function resolveInstance(instance: Instance, context: ResolveContext): ResolvedProcess {
  const { name, configName, file, leftOut } = instance
  const path = ['processes', configName]
  // A process behaves the same whether its file is run or extended.
  const folder = folderOf(context.root, [...path, 'command'])
  const replica: Variables = instance.replica === null ? {} : { PONIX_REPLICA: String(instance.replica) }
  const scope = new Scope(context)
  scope.add(context.shared)
  scope.add(replica)
  scope.namesAreKnown = context.namesAreKnown
  addEnvFiles(scope, file, path, context)
  scope.addInterpolated(file.env, [...path, 'env'])
  scope.add(replica)
  scope.add({ PATH: extendPath(context.programFolders(folder), scope.all['PATH']) })
  if (file.uses !== undefined && context.broker === null) {
    context.problems.add(
      [...path, 'uses'],
      'no address is set; add "mqtt_broker": "host:port" to the file, or use --mqtt-broker host:port',
    )
  }
  scope.usesBroker ||= isNamedUser(file.command, file, context.broker)
  addBroker(scope, context)
  const resolvePath = (text: string, at: JsonPath) => resolve(folderOf(context.root, at), scope.interpolate(text, at))
  const args = file.args.map((arg, index) => scope.interpolate(arg, [...path, 'args', index]))
  const cwd = file.cwd === undefined ? folder : resolvePath(file.cwd, [...path, 'cwd'])
  const log = resolveLog(file, (text) => resolvePath(text, [...path, 'log', 'file']))
  addBroker(scope, context)
  const usesExternal = !isProvider(file) && scope.usesBroker
  const hasFlag = context.broker !== null && isBrokerCommand(file.command, file.shell)
  return {
    name,
    configName,
    kind: file.kind,
    command: file.command,
    args: hasFlag ? withBrokerFlag(args, context.broker) : args,
    shell: file.shell,
    tty: file.tty,
    cwd,
    env: scope.all,
    dependsOn: resolveDependencies(instance, usesExternal, context),
    usesExternal,
    readinessProbe: file.readiness_probe === undefined ? null : resolveProbe(file.readiness_probe),
    livenessProbe: file.liveness_probe === undefined ? null : resolveProbe(file.liveness_probe),
    startupTimeoutMs: file.startup_timeout_ms,
    restart: resolveRestart(file),
    whenFailed: file.when_failed,
    onDependencyRestart: file.on_dependency_restart,
    watch: resolveWatch(file.watch, {
      folder: folderOf(context.root, [...path, 'watch', 'paths']),
      cwd,
      requested: context.requestedWatch(configName),
    }),
    schedule: file.schedule ?? null,
    log,
    shutdown: { signal: file.shutdown.signal, timeoutMs: file.shutdown.timeout_ms },
    profiles: file.profiles,
    leftOut,
    problem: null,
  }
}

/** Adds the variables of `env_file`; the variables of an unreadable file are unknown. */
function addEnvFiles(scope: Scope, { env_file }: ProcessFile, path: JsonPath, context: ResolveContext): void {
  for (const [index, name] of [env_file ?? []].flat().entries()) {
    const at = [...path, 'env_file', ...(typeof env_file === 'string' ? [] : [index])]
    try {
      scope.add(readEnvFile(resolve(folderOf(context.root, at), name)))
    } catch (error) {
      scope.namesAreKnown = false
      context.problems.add(at, messageOf(error))
    }
  }
}

/** Sets MQTT_BROKER for a user of the broker, unless the file sets this variable. */
function addBroker(scope: Scope, { broker }: ResolveContext): void {
  if (!scope.usesBroker || broker === null || scope.added['MQTT_BROKER'] !== undefined) return
  scope.add({ MQTT_BROKER: formatSocketAddress(broker) })
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

/**
 * Returns the dependencies. Users of the broker also depend on the process that provides it; a left-out user does not, because the
 * provider may depend on it.
 */
function resolveDependencies(
  { file, leftOut }: Instance,
  usesExternal: boolean,
  { brokerProvider, instances }: ResolveContext,
): ResolvedProcess['dependsOn'] {
  const dependencies = new Map<string, DependencyCondition>()
  for (const [configName, condition] of configuredDependencies(file)) {
    for (const { name, file: dependency } of instances.get(configName) ?? []) {
      dependencies.set(name, condition ?? defaultCondition(dependency))
    }
  }
  if (usesExternal && leftOut === null && brokerProvider !== null && !dependencies.has(brokerProvider)) {
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
