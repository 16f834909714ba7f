import type { ManagedProcess } from './managed-process.ts'
import type { ProcessGraph } from './graph.ts'
import { isFinal } from './state.ts'

/** What it needs of the graph in motion. */
export interface Motion {
  readonly graph: () => ProcessGraph
  readonly isStopping: () => boolean
  /** Those that are to go down, dependents first, or to stay down. */
  readonly doomed: Set<ManagedProcess>
  /** Does whatever has become possible. */
  readonly look: () => void
}

/** Stops and starts that somebody asks for while the graph is in motion. */
export class ManualControl {
  readonly #motion: Motion
  readonly #held = new Set<ManagedProcess>()
  readonly #watchers = new Set<() => void>()

  constructor(motion: Motion) {
    this.#motion = motion
  }

  /** While something is held down, everything is not over: it may be started again. */
  get isHolding(): boolean {
    return this.#held.size > 0
  }

  /** To be called after every change. */
  notice(): void {
    for (const look of this.#watchers) look()
  }

  /**
   * Stops these, dependents first, and keeps them down, whatever their policy says. Resolves when they are down, or all is
   * over.
   */
  async hold(names: readonly string[]): Promise<void> {
    const chosen = this.#motion.graph().named(names)
    for (const process of chosen) this.#holdDown(process)
    this.#motion.look()
    await this.#until(() => chosen.every(isOver))
  }

  /**
   * Starts these, as soon as their dependencies allow it. Resolves when each is up or has ended, waits for one that is held
   * down, or all is over.
   */
  async release(names: readonly string[]): Promise<void> {
    const chosen = this.#motion.graph().named(names)
    await this.#until(() => chosen.every((process) => process.state.type !== 'stopping'))
    if (this.#motion.isStopping()) return
    for (const process of chosen) this.#letGo(process)
    await Promise.all(chosen.map((process) => process.revive()))
    this.#motion.look()
    await this.#until(() => chosen.every((process) => this.#isSettled(process)))
  }

  /** Names of those that are held down. */
  get held(): readonly string[] {
    return [...this.#held].map(({ name }) => name)
  }

  /** After a change of the graph: lets go of those that are not in it any more, and holds down those of these names. */
  moveTo(held: readonly string[]): void {
    const graph = this.#motion.graph()
    for (const process of this.#held) if (graph.get(process.name) !== process) this.#letGo(process)
    for (const process of graph.named(held)) this.#holdDown(process)
  }

  #holdDown(process: ManagedProcess): void {
    this.#held.add(process)
    this.#motion.doomed.add(process)
  }

  #letGo(process: ManagedProcess): void {
    this.#held.delete(process)
    this.#motion.doomed.delete(process)
  }

  /** Resolves when it is so, or all is over. Looked at after every change. */
  #until(isSo: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!isSo() && !(this.#motion.isStopping() && this.#motion.graph().all.every(isOver))) return
        this.#watchers.delete(look)
        resolve()
      }
      this.#watchers.add(look)
      look()
    })
  }

  #isSettled(process: ManagedProcess): boolean {
    const { state } = process
    const graph = this.#motion.graph()
    if (state.type === 'waiting') {
      return graph.dependenciesOf(process).some(({ name }) => graph.get(name)?.state.type === 'stopped')
    }
    return graph.isUp(process) || isFinal(state) || state.type === 'backoff' || state.type === 'unhealthy'
  }
}

/** Nothing of it runs, and nothing will by itself. */
export function isOver(process: ManagedProcess): boolean {
  return process.isQuiet && isFinal(process.state)
}
