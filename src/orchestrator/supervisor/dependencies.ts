import { describeExit } from './backoff.ts'
import type { DependencyCondition, ResolvedConfig, ResolvedProcess } from '../config/resolved.ts'
import type { ExitResult } from './events.ts'
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
export function standing(definition: ResolvedProcess, state: ProcessState, condition: DependencyCondition): Standing {
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

/**
 * What each process waits for: what the file says, and of those that use the MQTT broker also the process that provides it,
 * unless that one itself waits for them.
 */
export function dependenciesOf(config: ResolvedConfig): ReadonlyMap<string, readonly Dependency[]> {
  const declared = new Map<string, readonly Dependency[]>(
    config.processes.map(({ name, dependsOn }) => [name, dependsOn]),
  )
  const provider = config.mqttBroker.providedBy
  if (provider === null || !declared.has(provider)) return declared
  const beforeProvider = reachable([provider], (name) =>
    (declared.get(name) ?? []).map((dependency) => dependency.name),
  )
  return new Map(
    config.processes.map(({ name, dependsOn, usesMqttBroker }) => {
      const named = dependsOn.some((dependency) => dependency.name === provider)
      const waits = usesMqttBroker && !named && !beforeProvider.has(name)
      return [name, waits ? [...dependsOn, { name: provider, condition: 'ready' as const }] : dependsOn]
    }),
  )
}

/** These and all that can be reached from them. */
export function reachable<T>(start: Iterable<T>, next: (one: T) => Iterable<T>): Set<T> {
  const found = new Set(start)
  for (const one of found) {
    for (const further of next(one)) found.add(further)
  }
  return found
}
