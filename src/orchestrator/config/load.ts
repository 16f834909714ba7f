import { resolve } from 'node:path'
import type { ConfigProblem } from './errors.ts'
import { checkBrokerOrder, resolveBroker } from './resolve/broker.ts'
import { checkCommands } from './resolve/check-command.ts'
import { type ControlFile, controlSchema, resolveControl } from './control.ts'
import { findGraphProblems, type GraphNode, type GraphProblem } from './dependency-graph.ts'
import { allKeys, childOf, type JsonNode, toValue } from './source/json-source.ts'
import { addSchemaProblems, ProblemList, secretNamesOf } from './source/problems.ts'
import { OwnScope } from './resolve/own-scope.ts'
import { checkLogFiles } from './resolve/log.ts'
import { checkReplicaProbes } from './resolve/probe.ts'
import {
  configuredDependencies,
  type ProcessVariables,
  resolveContext,
  type ResolveOptions,
  resolveProcess,
  restartPolicy,
} from './resolve/resolve.ts'
import type { ResolvedConfig } from './resolved.ts'
import { type OnFailedFile, onFailedSchema } from './schema/automation.ts'
import { configSchema } from './schema/file.ts'
import { type ProcessFile, processSchema } from './schema/process.ts'
import { type Instance, instanceNames, select, type Selection } from './resolve/selection.ts'
import type { SocketAddress } from './socket-address.ts'
import { ConfigFiles } from './source/config-files.ts'
import { addLiteralVariable } from './source/literal-variable.ts'
import type { ConfigSource } from './source/read.ts'
import { withReplicas } from './source/replicas.ts'
import { inheritedEnvironment } from './variables.ts'

export interface LoadOptions extends Selection {
  /** Path of the configuration file as typed, for messages. */
  readonly path: string
  /** Overrides `mqtt_broker`. */
  readonly mqttBroker: SocketAddress | null
  /** The orchestrator's own environment: inherited by the children and used for interpolation. */
  readonly environment: NodeJS.ProcessEnv
  /** Overrides `replicas` of processes that have this key, by their name in the file. */
  readonly replicas?: ReadonlyMap<string, number>
}

export interface LoadedConfig extends ResolvedConfig {
  /** The variables of the processes with their origin, by the name of the process. */
  readonly variables: ReadonlyMap<string, ProcessVariables>
  /** Creates an empty list for further problems of this file. */
  readonly newProblems: () => ProblemList
  /** What is valid and probably a mistake. */
  readonly warnings: readonly ConfigProblem[]
}

/** Reads, checks and resolves a configuration file. Throws a ConfigError with all mistakes. */
export function loadConfig(options: LoadOptions, files = new ConfigFiles(options.path)): LoadedConfig {
  const source = withReplicas(files.source, options.replicas ?? new Map())
  const { root } = source
  const texts = source.files.map((one) => one.source)
  const problems = new ProblemList(root, texts)
  const file = checkFile(source, problems)
  const instances = selectInstances(file, options, problems)
  const { environment } = options
  const own = new OwnScope(root, environment, { files, problems })
  const broker = resolveBroker(options.mqttBroker, file.mqttBroker, instances, { own, problems })
  const { providedBy } = broker
  const { control, tokenVariables } = resolveControl(file.control, { root, own, problems })
  const inheritance = inheritedEnvironment(environment, tokenVariables)
  const context = resolveContext(
    {
      root,
      files,
      broker: broker.address,
      brokerProvider: providedBy,
      instances,
      onFailed: file.onFailed,
      requestedWatch: watchRequests(options),
      secretNames: secretNamesOf(root),
      problems,
      ...inheritance,
    },
    own.shared,
    tokenVariables,
  )
  const resolved = [...instances.values()].flat().map((instance) => resolveProcess(instance, context))
  const processes = resolved.map(({ definition }) => definition)
  const selected = processes.filter(({ leftOut }) => leftOut === null)
  for (const check of [checkCommands, checkLogFiles, checkReplicaProbes]) check(selected, problems)
  if (providedBy !== null && !file.hasCycle) checkBrokerOrder(selected, providedBy, problems)
  problems.throwIfAny()
  const required = broker.isChecked || selected.some(({ usesExternal }) => usesExternal)
  const external = broker.address === null ? null : { ...broker.address, required, providedBy }
  const warnings = new ProblemList(root, texts)
  addLiteralVariable(root, warnings)
  const variables = new Map(resolved.map((one) => [one.definition.name, one.variables]))
  return {
    path: resolve(options.path),
    files: texts.map(({ name }) => name),
    processes,
    external,
    control,
    variables,
    newProblems: () => new ProblemList(root, texts),
    warnings: warnings.all,
  }
}

/** Returns how the command line changes the key `watch` of a process, by its name in the file. */
function watchRequests({ watch = [] }: Selection): ResolveOptions['requestedWatch'] {
  if (watch === false) return () => 'none'
  return (configName) => (watch.includes(configName) ? 'all' : 'file')
}

/** The valid parts of a file, which are checked further even if other parts are invalid. */
interface CheckedFile {
  /** The processes in the order of the file. */
  readonly processes: ReadonlyMap<string, ProcessFile>
  /** The names of all processes, including invalid ones. */
  readonly names: readonly string[]
  /** The value of `mqtt_broker`, which can be invalid. */
  readonly mqttBroker: unknown
  /** True if it is invalid. */
  readonly control: ControlFile
  /** Undefined if it is invalid or missing. */
  readonly onFailed: OnFailedFile
  readonly hasCycle: boolean
}

function checkFile({ root, files }: ConfigSource, problems: ProblemList): CheckedFile {
  const result = configSchema.safeParse(toValue(root))
  if (!result.success) addSchemaProblems(problems, result.error.issues)
  for (const key of files.flatMap((file) => allKeys(file))) {
    if (key.isDuplicate) problems.addAt(key, key.path, 'duplicate key; remove one of them')
    if (key.path.at(-1) === '__proto__') problems.addAt(key, key.path, 'this name is not allowed; choose another one')
  }
  const names = keysOf(childOf(root, 'processes'))
  const processes = new Map<string, ProcessFile>()
  for (const name of names) {
    const file = validPart(toValue(childOf(childOf(root, 'processes'), name)))
    if (file !== null) processes.set(name, file)
  }
  const graphProblems = checkGraph(root, names, problems)
  checkConditions(processes, problems)
  return {
    processes,
    names,
    mqttBroker: toValue(childOf(root, 'mqtt_broker')),
    control: controlSchema.safeParse(toValue(childOf(root, 'control'))).data ?? true,
    onFailed: onFailedSchema.safeParse(toValue(childOf(root, 'on_failed'))).data,
    hasCycle: graphProblems.some((problem) => problem.type !== 'unknown_dependency'),
  }
}

/** Returns the process without its invalid keys; null if its variables are unknown or nothing is left. */
function validPart(value: unknown): ProcessFile | null {
  const parsed = processSchema.safeParse(value)
  if (parsed.success) return parsed.data
  if (typeof value !== 'object' || value === null) return null
  const invalid = new Set(
    parsed.error.issues.flatMap((issue) => (issue.code === 'unrecognized_keys' ? issue.keys : issue.path.slice(0, 1))),
  )
  if (invalid.has('env') || invalid.has('env_file')) return null
  const valid = Object.entries(value).filter(([key]) => !invalid.has(key))
  // With any number of replicas, PONIX_REPLICA is defined.
  const replicas = invalid.has('replicas') ? { replicas: 1 } : {}
  return processSchema.safeParse({ command: 'invalid', ...Object.fromEntries(valid), ...replicas }).data ?? null
}

function keysOf(node: JsonNode | undefined): readonly string[] {
  return node?.type === 'object' ? [...new Set(node.entries.map((entry) => entry.key))] : []
}

/** Reads the dependencies from the JSON nodes, so that an invalid key elsewhere does not hide a cycle. */
function checkGraph(root: JsonNode, names: readonly string[], problems: ProblemList): readonly GraphProblem[] {
  const dependenciesNode = (name: string) => childOf(childOf(childOf(root, 'processes'), name), 'depends_on')
  const nodes = names.map((name): GraphNode => {
    const node = dependenciesNode(name)
    const listed = node?.type === 'array' ? node.items.map(toValue) : keysOf(node)
    return { name, dependsOn: listed.flatMap((to) => (typeof to === 'string' ? [{ name: to }] : [])) }
  })
  const found = findGraphProblems(nodes)
  for (const problem of found) {
    const [from, to] = problem.names
    const node = dependenciesNode(from)
    const key = node?.type === 'array' ? node.items.findIndex((item) => toValue(item) === to) : to
    problems.add(['processes', from, 'depends_on', key], problem.message, 'key')
  }
  return found
}

/** Adds a problem for dependencies on the completion of a process that always restarts, which would never be met. */
function checkConditions(processes: ReadonlyMap<string, ProcessFile>, problems: ProblemList): void {
  for (const [name, file] of processes) {
    for (const [to, condition] of configuredDependencies(file)) {
      const dependency = processes.get(to)
      if (dependency?.schedule !== undefined) {
        const message = `"${to}" runs only at the times of its "schedule", so that nothing can wait for it; remove one of the two`
        const key = Array.isArray(file.depends_on) ? file.depends_on.indexOf(to) : to
        problems.add(['processes', name, 'depends_on', key], message)
        continue
      }
      if (condition === 'started' || condition === 'ready' || condition === null || dependency === undefined) continue
      if (restartPolicy(dependency) !== 'always') continue
      const advice = `make "${to}" a task ("kind": "task"), or set its restart.policy`
      const message = `"${to}" always restarts, so it is never "${condition}"; ${advice}`
      problems.add(['processes', name, 'depends_on', to, 'condition'], message)
    }
  }
}

/** Returns all instances, by their name in the file. */
function selectInstances(
  { processes, names }: CheckedFile,
  options: LoadOptions,
  problems: ProblemList,
): ReadonlyMap<string, readonly Instance[]> {
  const selectable = names.map((name) => {
    const file = processes.get(name)
    if (file === undefined) return { name, instances: [name], dependsOn: [], profiles: [], isDisabled: false }
    const { profiles, disabled: isDisabled } = file
    const dependsOn = [...configuredDependencies(file).keys()]
    return { name, instances: instanceNames(name, file), dependsOn, profiles, isDisabled }
  })
  const reasons = select(selectable, options, problems)
  return new Map(
    Array.from(processes, ([configName, file]) => [
      configName,
      instanceNames(configName, file).map((name, index) => {
        const replica = file.replicas === undefined ? null : index + 1
        return { name, configName, replica, file, leftOut: reasons.get(name) ?? null }
      }),
    ]),
  )
}

/** Returns the part of the configuration that runs without further commands. */
export function withoutLeftOut<C extends ResolvedConfig>(config: C): C {
  const processes = config.processes.filter(({ leftOut }) => leftOut === null)
  const names = new Set(processes.map(({ name }) => name))
  const selected = processes.map((definition) => ({
    ...definition,
    dependsOn: definition.dependsOn.filter(({ name }) => names.has(name)),
  }))
  return { ...config, processes: selected }
}
