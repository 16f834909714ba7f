import { isDeepStrictEqual } from 'node:util'
import { dependentsOf } from '../../config/dependency-graph.ts'
import type { DependencyCondition, ResolvedConfig, ResolvedProcess } from '../../config/resolved.ts'
import type { ReloadDifference } from '../events.ts'
import { describeExit } from './restart-policy.ts'
import type { ProcessState } from './state.ts'

export type Dependency = ResolvedProcess['dependsOn'][number]

/** A dependency is met, can still be met, or can never be met, for the reason `because`. */
export type DependencyStatus =
  | { readonly type: 'met' }
  | { readonly type: 'pending' }
  | { readonly type: 'never'; readonly because: string }

const MET: DependencyStatus = { type: 'met' }
const PENDING: DependencyStatus = { type: 'pending' }

/** Returns the status of a dependency on a process in this state. */
function dependencyStatus(
  { name, kind, readinessProbe }: ResolvedProcess,
  state: ProcessState,
  condition: DependencyCondition,
): DependencyStatus {
  switch (state.type) {
    case 'ready':
      return condition === 'started' || condition === 'ready' ? MET : PENDING
    case 'running':
      return condition === 'started' || (condition === 'ready' && readinessProbe === null) ? MET : PENDING
    case 'unhealthy':
      return condition === 'started' ? MET : PENDING
    case 'completed':
      if (condition !== 'ready' || kind === 'task' || readinessProbe === null) return MET
      return { type: 'never', because: `"${name}" ended before it was ready` }
    case 'failed':
      return condition === 'completed' && state.exit !== null
        ? MET
        : { type: 'never', because: describeFailure(name, state) }
    case 'stopping':
      return state.outcome.type === 'failed'
        ? { type: 'never', because: `"${name}" failed: ${state.outcome.reason}` }
        : PENDING
    case 'disabled':
      return MET
    case 'skipped':
      return { type: 'never', because: `"${name}" was skipped` }
    case 'waiting':
    case 'starting':
    case 'backoff':
    case 'stopped':
    case 'scheduled':
      return PENDING
  }
}

function describeFailure(name: string, state: Extract<ProcessState, { type: 'failed' }>): string {
  const isExit = state.exit !== null && state.reason === describeExit(state.exit)
  return isExit ? `"${name}" ${state.reason}` : `"${name}" failed: ${state.reason}`
}

/** Returns whether a process is ready, running without a readiness probe, or completed. */
export function isUp({ readinessProbe, kind }: ResolvedProcess, state: ProcessState): boolean {
  if (state.type === 'running') return readinessProbe === null && kind === 'service'
  return state.type === 'ready' || state.type === 'completed'
}

export interface GraphProcess {
  readonly name: string
  readonly definition: ResolvedProcess
  readonly state: ProcessState
}

/** The processes of a configuration with their dependencies, indexed once. */
export class ProcessGraph<P extends GraphProcess> {
  readonly config: ResolvedConfig
  /** All processes in the order of the file. */
  readonly all: readonly P[]
  readonly #byName: ReadonlyMap<string, P>
  /** The dependencies by process, from the current configuration; the definition of a kept process can name other instances of a dependency. */
  readonly #dependencies: ReadonlyMap<string, readonly Dependency[]>
  readonly #dependents: ReadonlyMap<string, readonly P[]>

  constructor(config: ResolvedConfig, createProcess: (definition: ResolvedProcess) => P) {
    this.config = config
    this.all = config.processes.map(createProcess)
    this.#byName = new Map(this.all.map((managed) => [managed.name, managed]))
    this.#dependencies = new Map(config.processes.map(({ name, dependsOn }) => [name, dependsOn]))
    this.#dependents = new Map(
      Array.from(dependentsOf(config.processes), ([name, dependents]) => [name, this.named(dependents)]),
    )
  }

  get(name: string): P | null {
    return this.#byName.get(name) ?? null
  }

  /** Returns the processes with these names that exist. */
  named(names: readonly string[]): readonly P[] {
    return names.flatMap((name) => this.#byName.get(name) ?? [])
  }

  /** Returns the instances of a process of the file, or the process with this name; empty if neither exists. */
  instancesNamed(name: string): readonly string[] {
    const instances = this.all.filter(({ definition }) => definition.configName === name)
    return (instances.length > 0 ? instances : this.named([name])).map((managed) => managed.name)
  }

  dependenciesOf({ name }: P): readonly Dependency[] {
    return this.#dependencies.get(name) ?? []
  }

  dependentsOf({ name }: P): readonly P[] {
    return this.#dependents.get(name) ?? []
  }

  /** Returns the status of a dependency. A dependency that is not in the graph is met. */
  statusOf({ name, condition }: Dependency): DependencyStatus {
    const managed = this.#byName.get(name)
    return managed === undefined ? MET : dependencyStatus(managed.definition, managed.state, condition)
  }
}

/**
 * Compares two configurations. A process has changed if any part of its definition has changed, including values from the
 * environment, except the number of instances of a dependency, and `secretNames`. A process that becomes part of the run is added, one that
 * becomes left out is removed. `started`: the names in the file of left-out processes that a command has started; their instances are
 * part of the run.
 */
export function differenceOf(
  before: ResolvedConfig,
  after: ResolvedConfig,
  started: ReadonlySet<string> = new Set(),
): ReloadDifference {
  const [old, now] = [comparable(before), comparable(after)]
  const [ranBefore, runs] = [selectedNames(before, started), selectedNames(after, started)]
  const inBoth = [...now.keys()].filter((name) => old.has(name) && ranBefore.has(name) === runs.has(name))
  const isUnchanged = (name: string) => isDeepStrictEqual(old.get(name), now.get(name))
  return {
    added: [...runs].filter((name) => !ranBefore.has(name)),
    removed: [...ranBefore].filter((name) => !runs.has(name)),
    changed: inBoth.filter((name) => !isUnchanged(name)),
    unchanged: inBoth.filter(isUnchanged),
  }
}

/** Returns the names of the processes that are part of the run. */
function selectedNames({ processes }: ResolvedConfig, started: ReadonlySet<string>): ReadonlySet<string> {
  const selected = processes.filter(({ configName, leftOut }) => leftOut === null || started.has(configName))
  return new Set(selected.map(({ name }) => name))
}

/** Returns the definitions by name, with each dependency once instead of once per instance, and without the names of secrets. */
function comparable({ processes }: ResolvedConfig): ReadonlyMap<string, object> {
  const configNames = new Map(processes.map(({ name, configName }) => [name, configName]))
  return new Map(
    processes.map((definition) => {
      const dependencies = definition.dependsOn.map(
        ({ name, condition }) => [configNames.get(name) ?? name, condition] as const,
      )
      return [definition.name, { ...definition, dependsOn: new Map(dependencies), secretNames: null }]
    }),
  )
}
