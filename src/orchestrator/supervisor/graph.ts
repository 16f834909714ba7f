import { dependentsOf } from '../config/dependency-graph.ts'
import type { DependencyCondition, ResolvedConfig, ResolvedProcess } from '../config/resolved.ts'
import type { ExitResult } from './events.ts'
import type { StopPlan } from './guard/stop-plan.ts'
import type { ManagedProcess } from './managed-process.ts'
import { describeExit } from './restart-policy.ts'
import type { ProcessState } from './state.ts'

export interface Dependency {
  readonly name: string
  readonly condition: DependencyCondition
}

/** Whether a dependency is there, may still come, or can never be: then `because` says why. */
export type Standing =
  | { readonly type: 'met' }
  | { readonly type: 'pending' }
  | { readonly type: 'never'; readonly because: string }

const MET: Standing = { type: 'met' }
const PENDING: Standing = { type: 'pending' }

/** How a dependency in `state` stands to somebody who waits for `condition`. */
function standing(definition: ResolvedProcess, state: ProcessState, condition: DependencyCondition): Standing {
  const { name, kind, readinessProbe } = definition
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
      return condition === 'completed' && state.exit !== null ? MET : { type: 'never', because: failure(name, state) }
    case 'stopping':
      return state.outcome.type === 'failed'
        ? { type: 'never', because: `"${name}" failed: ${state.outcome.reason}` }
        : PENDING
    case 'skipped':
      return { type: 'never', because: `"${name}" was skipped` }
    case 'waiting':
    case 'starting':
    case 'backoff':
    case 'stopped':
      break
  }
  return PENDING
}

/** Ready, running with no probe to say more, or done. */
export function isUp({ readinessProbe, kind }: ResolvedProcess, state: ProcessState): boolean {
  if (state.type === 'running') return readinessProbe === null && kind === 'service'
  return state.type === 'ready' || state.type === 'completed'
}

/** A task that did what it was for. */
export function hasSucceeded({ kind }: ResolvedProcess, exit: ExitResult): boolean {
  return kind === 'task' && exit.code === 0
}

function failure(name: string, state: Extract<ProcessState, { type: 'failed' }>): string {
  const said = state.exit !== null && state.reason === describeExit(state.exit)
  return said ? `"${name}" ${state.reason}` : `"${name}" failed: ${state.reason}`
}

/** These and all that can be reached from them. */
export function reachable<T>(start: Iterable<T>, next: (one: T) => Iterable<T>): Set<T> {
  const found = new Set(start)
  for (const one of found) {
    for (const further of next(one)) found.add(further)
  }
  return found
}

/** The processes of a configuration, and how they depend on each other. */
export class ProcessGraph {
  readonly config: ResolvedConfig
  readonly #processes: ReadonlyMap<string, ManagedProcess>
  readonly #dependencies: ReadonlyMap<string, readonly Dependency[]>
  readonly #dependents: ReadonlyMap<string, readonly string[]>

  constructor(config: ResolvedConfig, manage: (definition: ResolvedProcess) => ManagedProcess) {
    this.config = config
    this.#dependencies = new Map(config.processes.map(({ name, dependsOn }) => [name, dependsOn]))
    this.#dependents = dependentsOf(config.processes)
    this.#processes = new Map(config.processes.map((definition) => [definition.name, manage(definition)]))
  }

  /** In the order of the file. */
  get all(): readonly ManagedProcess[] {
    return [...this.#processes.values()]
  }

  get(name: string): ManagedProcess | null {
    return this.#processes.get(name) ?? null
  }

  /** Those of these names that there are. */
  named(names: readonly string[]): readonly ManagedProcess[] {
    return names.flatMap((name) => this.#processes.get(name) ?? [])
  }

  /** For a name of the file those of its instances, for the name of a process just that, else none. */
  instancesNamed(name: string): readonly string[] {
    const instances = this.all.filter(({ definition }) => definition.configName === name).map((one) => one.name)
    return instances.length > 0 ? instances : this.named([name]).map((one) => one.name)
  }

  dependenciesOf({ name }: ManagedProcess): readonly Dependency[] {
    return this.#dependencies.get(name) ?? []
  }

  dependentsOf({ name }: ManagedProcess): readonly ManagedProcess[] {
    return this.named(this.#dependents.get(name) ?? [])
  }

  /** A task that others were waiting for, and that succeeded, is a step of the start and not an end. */
  isStep(process: ManagedProcess, exit: ExitResult): boolean {
    return hasSucceeded(process.definition, exit) && this.dependentsOf(process).length > 0
  }

  hasWaitingDependents(process: ManagedProcess): boolean {
    return this.dependentsOf(process).some((dependent) => dependent.state.type === 'waiting')
  }

  /** What is not supervised here (disabled, left out) counts as there. */
  standing(dependency: Dependency): Standing {
    const process = this.#processes.get(dependency.name)
    if (process === undefined) return { type: 'met' }
    return standing(process.definition, process.state, dependency.condition)
  }

  /** Skips those that wait for what can never be, and in turn those that wait for them. */
  skipHopeless(): void {
    for (let skipped = true; skipped;) {
      skipped = false
      for (const process of this.#processes.values()) {
        const because = process.state.type === 'waiting' ? this.#hopeless(process) : null
        if (because === null) continue
        process.skip(because)
        skipped = true
      }
    }
  }

  /** Those that wait for the end of a process, in turn those that wait for them, and all that these need. */
  waitingAfter(process: ManagedProcess): ReadonlySet<ManagedProcess> {
    const waiting = (one: ManagedProcess) => this.dependentsOf(one).filter(({ state }) => state.type === 'waiting')
    const needs = (one: ManagedProcess) => this.named(this.dependenciesOf(one).map(({ name }) => name))
    return reachable(reachable(waiting(process), waiting), needs)
  }

  /** How to stop what lives now. */
  stopPlan(mark: string): StopPlan {
    const processes = this.all.map((process) => ({
      name: process.name,
      groups: [...process.groups],
      signal: process.definition.shutdown.signal,
      timeoutMs: process.definition.shutdown.timeoutMs,
      dependents: this.dependentsOf(process).map(({ name }) => name),
    }))
    return { mark, processes }
  }

  hasAll(process: ManagedProcess): boolean {
    return this.dependenciesOf(process).every((dependency) => this.standing(dependency).type === 'met')
  }

  isUp({ definition, state }: ManagedProcess): boolean {
    return isUp(definition, state)
  }

  /** Why what a process waits for can never be; null while it may. */
  #hopeless(process: ManagedProcess): string | null {
    for (const dependency of this.dependenciesOf(process)) {
      const standing = this.standing(dependency)
      if (standing.type === 'never') return standing.because
    }
    return null
  }
}
