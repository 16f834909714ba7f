import { Timer } from '../timers.ts'
import type { OrphanReaper } from './orphans.ts'

/** The wait before a restart. It ends after its time, or when the orphans of the last child are gone, if that takes longer. */
export class Backoff {
  readonly #reaper: OrphanReaper
  readonly #onOver: () => void
  readonly #timer = new Timer()
  #isOver = false

  /** Calls `onOver` each time a backoff has ended. */
  constructor(reaper: OrphanReaper, onOver: () => void) {
    this.#reaper = reaper
    this.#onOver = onOver
  }

  /** True from the end of a backoff until `reset`. */
  get isOver(): boolean {
    return this.#isOver
  }

  begin(waitMs: number): void {
    this.reset()
    this.#timer.set(waitMs, () => void this.#end({ groupsOnly: waitMs === 0 }))
    if (waitMs > 0) void this.#reaper.reap()
  }

  /** Ends the backoff as soon as the orphans of the last child are gone. */
  async skip(): Promise<void> {
    this.clear()
    await this.#end({ groupsOnly: false })
  }

  reset(): void {
    this.#isOver = false
  }

  /** Cancels the time that is left. */
  clear(): void {
    this.#timer.clear()
  }

  async #end(options: { readonly groupsOnly: boolean }): Promise<void> {
    const end = () => {
      this.#isOver = true
      this.#onOver()
    }
    await this.#reaper.reapThen(end, options)
  }
}
