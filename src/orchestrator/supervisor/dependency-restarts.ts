import { reachable } from './graph.ts'
import type { ManagedProcess } from './managed-process.ts'
import { isDown, isFinal, type ProcessState } from './state.ts'

/**
 * Those that go down and up with something they depend on (`on_dependency_restart: restart`, Erlang's rest_for_one):
 * dependents before dependencies, all of them down before the first comes up again.
 */
export class DependencyRestarts {
  readonly #dependentsOf: (process: ManagedProcess) => readonly ManagedProcess[]
  readonly #goingDown = new Set<ManagedProcess>()

  constructor(dependentsOf: (process: ManagedProcess) => readonly ManagedProcess[]) {
    this.#dependentsOf = dependentsOf
  }

  /** It has yet to go down before it may start again. */
  has(process: ManagedProcess): boolean {
    return this.#goingDown.has(process)
  }

  /** `process` has changed from `before`: if it went down and is to come up again, so do those that go with it. */
  follow(process: ManagedProcess, before: ProcessState): void {
    if (!wasUp(before) || !comesUpAgain(process.state)) return
    const followers = reachable(this.#followersOf(process), (follower) => this.#followersOf(follower))
    for (const follower of followers) if (!isDown(follower.state)) this.#goingDown.add(follower)
  }

  /** Stops those whose own followers are down, and lets go of those that are down themselves. */
  advance(): void {
    for (const process of this.#goingDown) {
      if (process.isQuiet && (process.state.type === 'waiting' || isFinal(process.state))) {
        this.#goingDown.delete(process)
      } else if (!this.#dependentsOf(process).some((dependent) => this.#goingDown.has(dependent))) {
        process.stop({ type: 'waiting' })
      }
    }
  }

  #followersOf(process: ManagedProcess): ManagedProcess[] {
    return this.#dependentsOf(process).filter(({ definition }) => definition.onDependencyRestart === 'restart')
  }
}

function wasUp(state: ProcessState): boolean {
  return state.type === 'running' || state.type === 'ready' || state.type === 'unhealthy'
}

function comesUpAgain(state: ProcessState): boolean {
  if (state.type === 'stopping') return state.outcome.type === 'waiting' || state.outcome.type === 'backoff'
  return state.type === 'backoff'
}
