import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { checkBrokerOrder, resolveBroker } from './broker.ts'
import { type ControlFile, controlSchema, resolveControl } from './control.ts'
import { describeGraphProblem, findGraphProblems, type GraphNode, type GraphProblem } from './dependency-graph.ts'
import { ConfigError, JsonSyntaxError, describeFileError } from './errors.ts'
import { allKeys, childOf, type JsonNode, parseJson, positionOf, toValue } from './json-source.ts'
import { excerpt, ProblemList, addSchemaProblems } from './problems.ts'
import { checkLogFiles, dependenciesOf, lookAround, resolveProcess, restartPolicy } from './resolve.ts'
import type { ResolvedConfig } from './resolved.ts'
import { configSchema, environmentSchema, type ProcessFile, processSchema } from './schema.ts'
import { type Instance, instancesOf, select, type Selection } from './selection.ts'
import type { SocketAddress } from './socket-address.ts'
import { inheritedEnvironment } from './variables.ts'

export interface LoadOptions extends Selection {
  /** Path of the configuration file as the user gave it; messages call it so. */
  readonly path: string
  /** Takes the place of `mqtt_broker`. */
  readonly mqttBroker: SocketAddress | null
  /** The orchestrator's own environment: inherited by the children, and looked up in interpolation. */
  readonly environment: NodeJS.ProcessEnv
}

/** Reads, checks and resolves a configuration file; throws a ConfigError that names everything that is wrong with it (O-20). */
export function loadConfig(options: LoadOptions): ResolvedConfig {
  const text = readText(options.path)
  const root = parse(text, options.path)
  const problems = new ProblemList(options.path, text, root)
  const file = checkFile(root, problems)
  const running = selectRunning(file, options, problems)
  const path = resolve(options.path)
  const { environment } = options
  const sources = { typed: options.mqttBroker, inFile: file.mqttBroker, all: file.processes, running }
  const { address: broker, isGiven, providedBy } = resolveBroker(sources, { environment, problems })
  const { control, secretNames } = resolveControl(file.control, { path, environment, problems })
  const inheritance = inheritedEnvironment(environment, secretNames)
  const around = lookAround({ path, broker, brokerProvider: providedBy, running, problems, ...inheritance }, file.env)
  const processes = [...running.values()].flat().map((instance) => resolveProcess(instance, around))
  checkLogFiles(processes, problems)
  if (providedBy !== null && !file.hasCycle) checkBrokerOrder(processes, providedBy, problems)
  problems.throwIfAny()
  const required = isGiven || processes.some((process) => process.usesExternal)
  return { path, processes, external: { ...broker, required, providedBy }, control }
}

function readText(path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path))
  } catch (error) {
    if (error instanceof TypeError) throw new ConfigError(`${path} is not UTF-8 text`, [], { cause: error })
    const hint = path === 'commonplace.json' ? '; write one, or name another file with --config' : ''
    throw new ConfigError(`${path} ${describeFileError(error)}${hint}`, [], { cause: error })
  }
}

function parse(text: string, name: string): JsonNode {
  try {
    return parseJson(text)
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    const { message, offset } = error
    const { line, column } = positionOf(text, offset)
    const problem = { path: '', line, column, message }
    const shown = `${name}:${line}:${column}: ${message}\n${excerpt(text, offset)}`
    throw new ConfigError(shown, [problem], { cause: error })
  }
}

/** What is right in a file, even if other parts of it are wrong: so that the rest can be checked in the same go. */
interface CheckedFile {
  /** In the order of the file. */
  readonly processes: ReadonlyMap<string, ProcessFile>
  readonly names: readonly string[]
  /** Null if it is wrong: nobody can say then which names are set. */
  readonly env: Readonly<Record<string, string>> | null
  /** Null if the file does not give one. */
  readonly mqttBroker: string | null
  /** True if it is wrong. */
  readonly control: ControlFile
  readonly hasCycle: boolean
}

function checkFile(root: JsonNode, problems: ProblemList): CheckedFile {
  const result = configSchema.safeParse(toValue(root))
  if (!result.success) addSchemaProblems(problems, result.error.issues)
  for (const { path, offset, isDuplicate } of allKeys(root)) {
    if (isDuplicate) problems.addAt(offset, path, 'this key is there twice; remove one')
    if (path.at(-1) === '__proto__') problems.addAt(offset, path, 'nothing can be called so; choose another name')
  }
  const names = keysOf(childOf(root, 'processes'))
  const processes = new Map<string, ProcessFile>()
  for (const name of names) {
    const process = salvageProcess(toNodeValue(childOf(childOf(root, 'processes'), name)))
    if (process !== null) processes.set(name, process)
  }
  const graphProblems = checkGraph(root, names, problems)
  checkConditions(processes, problems)
  const env = environmentSchema.safeParse(toNodeValue(childOf(root, 'env')) ?? {})
  const broker = toNodeValue(childOf(root, 'mqtt_broker'))
  return {
    processes,
    names,
    env: env.success ? env.data : null,
    mqttBroker: typeof broker === 'string' ? broker : null,
    control: controlSchema.safeParse(toNodeValue(childOf(root, 'control'))).data ?? true,
    hasCycle: graphProblems.some((problem) => problem.type !== 'unknown_dependency'),
  }
}

/** The process, if need be without the keys that are wrong; null if its names cannot be known or nothing is left. */
function salvageProcess(value: unknown): ProcessFile | null {
  const parsed = processSchema.safeParse(value)
  if (parsed.success) return parsed.data
  if (typeof value !== 'object' || value === null) return null
  const wrong = new Set(
    parsed.error.issues.flatMap((issue) => (issue.code === 'unrecognized_keys' ? issue.keys : issue.path.slice(0, 1))),
  )
  if (wrong.has('env') || wrong.has('env_file')) return null
  const right = Object.entries(value).filter(([key]) => !wrong.has(key))
  // Its instances have a number, however many there are meant to be.
  const replicas = wrong.has('replicas') ? { replicas: 1 } : {}
  return processSchema.safeParse({ command: 'wrong', ...Object.fromEntries(right), ...replicas }).data ?? null
}

function toNodeValue(node: JsonNode | undefined): unknown {
  return node === undefined ? undefined : toValue(node)
}

function keysOf(node: JsonNode | undefined): readonly string[] {
  return node?.type === 'object' ? [...new Set(node.entries.map((entry) => entry.key))] : []
}

/** Reads the dependencies from the document itself, so that a wrong key elsewhere hides no cycle. */
function checkGraph(root: JsonNode, names: readonly string[], problems: ProblemList): readonly GraphProblem[] {
  const processes = childOf(root, 'processes')
  const nodes: readonly GraphNode[] = names.map((name) => {
    const dependsOn = childOf(childOf(processes, name), 'depends_on')
    const listed = dependsOn?.type === 'array' ? dependsOn.items.map(toValue) : keysOf(dependsOn)
    const dependencies = listed.filter((dependency) => typeof dependency === 'string')
    return { name, dependsOn: dependencies.map((dependency) => ({ name: dependency })) }
  })
  const found = findGraphProblems(nodes)
  for (const problem of found) {
    const [from = '', to = ''] =
      problem.type === 'cycle'
        ? problem.cycle
        : [problem.process, problem.type === 'self_dependency' ? problem.process : problem.dependency]
    const at = ['processes', from, 'depends_on']
    const dependsOn = childOf(childOf(processes, from), 'depends_on')
    const key = dependsOn?.type === 'array' ? dependsOn.items.findIndex((item) => toValue(item) === to) : to
    problems.add([...at, key], describeGraphProblem(problem), 'key')
  }
  return found
}

/** A process that is restarted whenever it ends never completes: whoever waits for that would wait for ever. */
function checkConditions(processes: ReadonlyMap<string, ProcessFile>, problems: ProblemList): void {
  for (const [name, process] of processes) {
    for (const [to, condition] of dependenciesOf(process)) {
      const dependency = processes.get(to)
      if (condition === 'started' || condition === 'ready' || condition === null || dependency === undefined) continue
      if (restartPolicy(dependency) !== 'always') continue
      const advice = `make "${to}" a task ("kind": "task"), or set its restart.policy`
      const message = `"${to}" is restarted whenever it ends, so it never counts as "${condition}"; ${advice}`
      problems.add(['processes', name, 'depends_on', to, 'condition'], message)
    }
  }
}

/** Every instance that runs, by name in the file, in its order. */
function selectRunning(
  file: CheckedFile,
  options: LoadOptions,
  problems: ProblemList,
): ReadonlyMap<string, readonly Instance[]> {
  const instances = new Map(Array.from(file.processes, ([name, process]) => [name, instancesOf(name, process)]))
  const disabled = new Set(Array.from(file.processes).flatMap(([name, { disabled }]) => (disabled ? [name] : [])))
  const groups = new Map(file.names.map((name) => [name, instances.get(name)?.map((one) => one.name) ?? [name]]))
  const selected = select(groups, disabled, options)
  if (selected.ok) {
    const { names } = selected
    const running = Array.from(instances, ([name, all]) => [name, all.filter((one) => names.has(one.name))] as const)
    return new Map(running.filter(([, some]) => some.length > 0))
  }
  problems.throwIfAny()
  throw new ConfigError(selected.problem)
}
