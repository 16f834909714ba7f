import { isDownFor, setGoal } from './goals.ts'
import type { ProcessGraph } from './rules/graph.ts'
import type { ManagedProcess } from './managed-process.ts'
import { isEnded, isSettled } from './rules/reconcile.ts'
import type { StartRequest } from './rules/snapshot.ts'
import { failuresAmong, requestedBy, type StartFailure } from './rules/start-outcome.ts'
import { isFinal, UP } from './rules/state.ts'

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
    const chosen = graph().named(names)
    await until(() => chosen.every(({ state }) => state.type !== 'stopping'))
    if (isStopping()) return []
    const request = Symbol('start')
    const idle = chosen.filter((managed) => !isDownFor(managed, 'restarting') && !isDownFor(managed, 'replaced'))
    for (const managed of idle) {
      managed.goal = UP
      if (isFinal(managed.state) || managed.state.type === 'backoff') managed.request = request
      if (isFinal(managed.state)) managed.reset()
    }
    await Promise.all(idle.flatMap((managed) => (managed.state.type === 'backoff' ? [managed.skipBackoff()] : [])))
    return this.#settle(request, chosen)
  }

  /** Stops processes, dependents first, and keeps them down until they are started. Resolves when they are down. */
  async stop(names: readonly string[]): Promise<void> {
    const chosen = this.#context.graph().named(names)
    setGoal(chosen, 'by_hand', null)
    await this.#context.until(() => chosen.every(isEnded))
  }

  /** Restarts processes, except those that wait for dependencies. Resolves as `start` does. */
  async restart(names: readonly string[]): Promise<readonly StartFailure[]> {
    const named = this.#context.graph().named(names)
    const chosen = named.filter((managed) => managed.state.type !== 'waiting' && !isDownFor(managed, 'replaced'))
    const request = Symbol('restart')
    setGoal(chosen, 'restarting', request)
    return this.#settle(request, chosen)
  }

  /** Resolves to the failures among the chosen processes and those that start because of the same request. */
  async #settle(request: StartRequest, chosen: readonly ManagedProcess[]): Promise<readonly StartFailure[]> {
    const { graph, until } = this.#context
    const affected = () => [...new Set([...chosen, ...requestedBy(request, graph())])]
    await until(() => affected().every((managed) => isSettled(managed, graph())))
    return failuresAmong(affected())
  }
}
