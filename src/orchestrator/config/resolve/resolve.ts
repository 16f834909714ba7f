import { resolve } from 'node:path'
import { isBrokerCommand, isNamedUser, isProvider, withBrokerFlag } from './broker.ts'
import { type EnvFile, readEnvFiles } from './env-file.ts'
import { folderOf, type JsonNode, type JsonPath } from '../source/json-source.ts'
import type { SharedVariables } from './own-scope.ts'
import type { ConfigFiles } from '../source/config-files.ts'
import { ProblemTexts } from '../source/problems.ts'
import { resolveLog } from './log.ts'
import { resolveHook } from './hook.ts'
import { resolveProbe } from './probe.ts'
import { resolveWatch, type WatchContext } from './watch.ts'
import type { DependencyCondition, ResolvedProcess, ResolvedRestart } from '../resolved.ts'
import type { OnFailedFile } from '../schema/automation.ts'
import { parseByteSize } from '../schema/fields.ts'
import type { ProcessFile } from '../schema/process.ts'
import { type Environment, Scope, type ScopeOptions } from './scope.ts'
import type { Instance } from './selection.ts'
import { formatSocketAddress } from '../socket-address.ts'
import { extendPath, programFolders, type Variables } from '../variables.ts'

/** The inputs of all processes of one file. */
export interface ResolveOptions extends ScopeOptions {
  /** The merged configuration files. */
  readonly root: JsonNode
  readonly files: ConfigFiles
  /** The enabled process that is the broker. */
  readonly brokerProvider: string | null
  /** All instances, by their name in the file. */
  readonly instances: ReadonlyMap<string, readonly Instance[]>
  /** The key `on_failed` of the file. */
  readonly onFailed: OnFailedFile
  /** How the command line changes the key `watch` of a process, by its name in the file. */
  readonly requestedWatch: (configName: string) => WatchContext['requested']
}

export interface ResolveContext extends ResolveOptions {
  /** The variables of `env_file` and `env` of the file. */
  readonly shared: Environment
  /** The `env_file` of the file. */
  readonly sharedFiles: readonly EnvFile[]
  /** The variables of these whose values were copied into `env` of the file. */
  readonly sharedCopies: ReadonlySet<string>
  /** False if a part of these is invalid: it could set a variable that seems unset. */
  readonly namesAreKnown: boolean
  /** Returns the folders at the start of the PATH of a process whose file is in this folder. */
  readonly programFolders: (folder: string) => readonly string[]
}

/** Interpolates `env` of the file. The processes do not get the `tokenVariables`. */
export function resolveContext(
  options: ResolveOptions,
  { files, env, isComplete }: SharedVariables,
  tokenVariables: ReadonlySet<string>,
): ResolveContext {
  const isShared = ([name]: readonly [string, string]) => !tokenVariables.has(name)
  const sharedPart = (variables: Variables) => Object.fromEntries(Object.entries(variables).filter(isShared))
  const scope = new Scope(options)
  scope.namesAreKnown = isComplete
  for (const { path, variables } of files) scope.add(sharedPart(variables), { type: 'file_env_file', path })
  scope.addInterpolated(sharedPart(env), ['env'], { type: 'file_env' })
  const shared = new Map([...scope.environment].filter(([, { source }]) => source.type !== 'inherited'))
  const found = new Map<string, readonly string[]>()
  const foldersFor = (folder: string) => {
    const known = found.get(folder)
    if (known !== undefined) return known
    const folders = [...new Set([...programFolders(folder), ...programFolders(options.root.source.folder)])]
    found.set(folder, folders)
    return folders
  }
  return {
    ...options,
    shared,
    sharedFiles: files,
    sharedCopies: scope.copied,
    namesAreKnown: isComplete,
    programFolders: foldersFor,
  }
}

/** The environment of a process, with its origin. */
export interface ProcessVariables {
  readonly environment: Environment
  /** The `env_file` of the file, and of the process. */
  readonly envFiles: { readonly shared: readonly EnvFile[]; readonly own: readonly EnvFile[] }
  /** The variables of these whose values were copied into `env`, `args` and other texts. */
  readonly copied: ReadonlySet<string>
}

interface ProcessWithVariables {
  readonly definition: ResolvedProcess
  readonly variables: ProcessVariables
}

/**
 * Interpolates one process and fills in all defaults. Adds problems to the context; the problems of a left-out process are no mistakes
 * of the file and become its `problem`.
 */
export function resolveProcess(instance: Instance, context: ResolveContext): ProcessWithVariables {
  if (instance.leftOut === null) return resolveInstance(instance, context)
  const problems = new ProblemTexts()
  const { definition, variables } = resolveInstance(instance, { ...context, problems })
  return { definition: { ...definition, problem: problems.text }, variables }
}

function resolveInstance(instance: Instance, context: ResolveContext): ProcessWithVariables {
  const { name, configName, file, leftOut } = instance
  const path = ['processes', configName]
  // A process behaves the same whether its file is run or extended.
  const folder = folderOf(context.root, [...path, 'command'])
  const own: EnvFile[] = []
  const scope = scopeOf(instance, folder, context, own)
  if (file.uses !== undefined && context.broker === null) {
    context.problems.add(
      [...path, 'uses'],
      'no address is set; add "mqtt_broker": "host:port" to the file, or use --mqtt-broker host:port',
    )
  }
  const command = file.shell ? file.command : interpolateCommand(file.command, [...path, 'command'], scope, context)
  scope.usesBroker ||= isNamedUser(command, file, context.broker)
  addBroker(scope, context)
  const resolvePath = (text: string, at: JsonPath) => resolve(folderOf(context.root, at), scope.interpolate(text, at))
  const args = file.args.map((arg, index) => scope.interpolate(arg, [...path, 'args', index]))
  const cwd = file.cwd === undefined ? folder : resolvePath(file.cwd, [...path, 'cwd'])
  const log = resolveLog(file, (text) => resolvePath(text, [...path, 'log', 'file']))
  const { problems } = context
  const probe = (key: 'readiness_probe' | 'liveness_probe') =>
    file[key] === undefined ? null : resolveProbe(file[key], { path: [...path, key], scope, problems })
  const [readinessProbe, livenessProbe] = [probe('readiness_probe'), probe('liveness_probe')]
  addBroker(scope, context)
  const usesExternal = !isProvider(file) && scope.usesBroker
  const hasFlag = context.broker !== null && isBrokerCommand(command, file.shell)
  const definition: ResolvedProcess = {
    name,
    configName,
    kind: file.kind,
    successExitCodes: file.success_exit_codes,
    command,
    args: hasFlag ? withBrokerFlag(args, context.broker) : args,
    shell: file.shell,
    tty: file.tty,
    cwd,
    env: Object.fromEntries(Array.from(scope.environment, ([key, { value }]) => [key, value])),
    dependsOn: resolveDependencies(instance, usesExternal, context),
    usesExternal,
    readinessProbe,
    livenessProbe,
    startupTimeoutMs: file.startup_timeout_ms,
    restart: resolveRestart(file),
    whenFailed: file.when_failed,
    onDependencyRestart: file.on_dependency_restart,
    watch: resolveWatch(file.watch, {
      folder: folderOf(context.root, [...path, 'watch', 'paths']),
      cwd,
      requested: context.requestedWatch(configName),
      interpolate: (text, index) => scope.interpolate(text, [...path, 'watch', 'paths', index]),
    }),
    schedule: file.schedule ?? null,
    memoryLimit: file.memory_limit === undefined ? null : parseByteSize(file.memory_limit),
    secretNames: context.secretNames,
    onFailed: resolveOnFailed(file.on_failed, [...path, 'on_failed'], scope, context),
    log,
    shutdown: { signal: file.shutdown.signal, timeoutMs: file.shutdown.timeout_ms },
    profiles: file.profiles,
    leftOut,
    problem: null,
  }
  const envFiles = { shared: context.sharedFiles, own }
  const copied = new Set([...context.sharedCopies, ...scope.copied])
  return { definition, variables: { environment: scope.environment, envFiles, copied } }
}

/** Returns the variables of an instance; `folder` is the folder of its file. Adds the `env_file` of the process to `envFiles`. */
function scopeOf(
  { configName, file, replica }: Instance,
  folder: string,
  context: ResolveContext,
  envFiles: EnvFile[],
): Scope {
  const path = ['processes', configName]
  const own = { type: 'orchestrator' } as const
  const number: Variables = replica === null ? {} : { PONIX_REPLICA: String(replica) }
  const scope = new Scope(context)
  scope.namesAreKnown = context.namesAreKnown
  scope.addAll(context.shared)
  scope.add(number, own)
  const areRead = readEnvFiles(file.env_file, [...path, 'env_file'], {
    root: context.root,
    problems: context.problems,
    files: context.files,
    interpolate: (text, at) => scope.replace(text, at)?.text ?? null,
    add: (one) => {
      envFiles.push(one)
      scope.add(one.variables, { type: 'process_env_file', path: one.path })
    },
  })
  scope.namesAreKnown &&= areRead
  scope.addInterpolated(file.env, [...path, 'env'], { type: 'process_env' })
  scope.add(number, own)
  const { value, source = own } = scope.environment.get('PATH') ?? {}
  const PATH = extendPath(context.programFolders(folder), value)
  scope.add({ PATH }, source.type === 'inherited' ? own : source)
  return scope
}

function interpolateCommand(text: string, path: JsonPath, scope: Scope, { problems }: ResolveContext): string {
  const replaced = scope.replace(text, path)
  if (replaced?.text === '') problems.add(path, 'expected a program name or path; the variables are empty')
  return replaced?.text ?? 'invalid'
}

/** Returns the hook of a process, by default that of the file. */
function resolveOnFailed(
  own: OnFailedFile,
  path: JsonPath,
  scope: Scope,
  { onFailed, root, problems }: ResolveContext,
): ResolvedProcess['onFailed'] {
  const [file, at] = own === undefined ? [onFailed, ['on_failed']] : [own, path]
  if (file === undefined) return null
  const interpolate = (text: string, keys: JsonPath) => scope.interpolate(text, [...at, ...keys])
  return resolveHook(file, {
    folder: folderOf(root, at),
    interpolate,
    refuse: (keys, text) => problems.add([...at, ...keys], text),
  })
}

/** Sets MQTT_BROKER for a user of the broker, unless the file sets this variable. */
function addBroker(scope: Scope, { broker }: ResolveContext): void {
  const isInherited = (scope.environment.get('MQTT_BROKER')?.source.type ?? 'inherited') === 'inherited'
  if (!scope.usesBroker || broker === null || !isInherited) return
  scope.add({ MQTT_BROKER: formatSocketAddress(broker) }, { type: 'orchestrator' })
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
  const { backoff_ms, max_backoff_ms, jitter, reset_after_ms, max_attempts, startup_attempts, window_ms } = file.restart
  return {
    policy: restartPolicy(file),
    backoffMs: backoff_ms,
    maxBackoffMs: max_backoff_ms,
    jitter,
    resetAfterMs: reset_after_ms,
    maxAttempts: max_attempts ?? Number.POSITIVE_INFINITY,
    startupAttempts: startup_attempts ?? Number.POSITIVE_INFINITY,
    windowMs: window_ms ?? null,
  }
}
