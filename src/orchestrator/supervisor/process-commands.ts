import { setGoal } from './goals.ts'
import type { ProcessGraph } from './rules/graph.ts'
import type { ManagedProcess } from './managed-process.ts'
import { isEnded, isSettled } from './rules/reconcile.ts'
import type { StartRequest } from './rules/snapshot.ts'
import { failuresAmong, requestedBy, type StartFailure } from './rules/start-outcome.ts'
import { isDownFor, isFinal, UP } from './rules/state.ts'

export interface CommandContext {
  readonly graph: () => ProcessGraph<ManagedProcess>
  /** Returns true while everything stops. */
  readonly isStopping: () => boolean
  /** Reconciles, then resolves when the condition is met, or everything has stopped. */
  readonly until: (isMet: () => boolean) => Promise<void>
}

/** The commands that set the goals of processes. */
export class ProcessCommands {
  readonly #context: CommandContext

  constructor(context: CommandContext) {
    this.#context = context
  }

  /**
   * Starts processes as soon as their dependencies are met, without waiting for the end of a backoff. Resolves when each is
   * up, has ended or has failed, or waits for a dependency that is stopped.
   */
  async start(names: readonly string[]): Promise<readonly StartFailure[]> {
    const { graph, isStopping, until } = this.#context
    const named = () => graph().named(names)
    // Of a process that a reload replaces, the new version starts.
    await until(() => named().every((managed) => managed.state.type !== 'stopping' && !isDownFor(managed, 'replaced')))
    if (isStopping()) return []
    const request = Symbol('start')
    const idle = named().filter((managed) => !isDownFor(managed, 'restarting'))
    for (const managed of idle) {
      managed.goal = UP
      if (isFinal(managed.state) || managed.state.type === 'backoff') managed.request = request
      if (isFinal(managed.state)) managed.reset()
    }
    await Promise.all(idle.flatMap((managed) => (managed.state.type === 'backoff' ? [managed.skipBackoff()] : [])))
    return this.#settle(request, names)
  }

  /** Stops processes, dependents first, and keeps them down until they are started. Resolves when they are down. */
  async stop(names: readonly string[]): Promise<void> {
    const chosen = this.#context.graph().named(names)
    setGoal(chosen, 'by_hand', null)
    await this.#context.until(() => chosen.every(isEnded))
  }

  /** Restarts processes, except those that wait for dependencies. Resolves as `start` does. */
  async restart(names: readonly string[]): Promise<readonly StartFailure[]> {
    const chosen = this.#context
      .graph()
      .named(names)
      .filter(({ state }) => state.type !== 'waiting')
    const replaced = chosen.filter((managed) => isDownFor(managed, 'replaced'))
    const request = Symbol('restart')
    setGoal(
      chosen.filter((managed) => !replaced.includes(managed)),
      'restarting',
      request,
    )
    if (replaced.length > 0) await this.start(namesOf(replaced))
    return this.#settle(request, namesOf(chosen))
  }

  /** Resolves to the failures among these processes and those that start because of the same request. */
  async #settle(request: StartRequest, names: readonly string[]): Promise<readonly StartFailure[]> {
    const { graph, until } = this.#context
    const affected = () => [...new Set([...graph().named(names), ...requestedBy(request, graph())])]
    await until(() => affected().every((managed) => isSettled(managed, graph())))
    return failuresAmong(affected())
  }
}

function namesOf(processes: readonly ManagedProcess[]): readonly string[] {
  return processes.map(({ name }) => name)
}
