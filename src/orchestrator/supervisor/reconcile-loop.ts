import type { ManagedProcess } from './managed-process.ts'
import { reconcile } from './rules/reconcile.ts'
import { reconcileInMs } from './rules/settling.ts'
import type { Action, Snapshot } from './rules/snapshot.ts'
import { Timer } from './timers.ts'

export interface ReconcileContext {
  readonly snapshot: () => Snapshot<ManagedProcess>
  readonly execute: (action: Action<ManagedProcess>) => void
  /** Called when no action is left. */
  readonly onSettled: () => void
}

/** Executes the actions that `reconcile` returns until there are none, once per turn of the event loop. */
export class ReconcileLoop {
  readonly #context: ReconcileContext
  /** For the next actions that follow from the time alone. */
  readonly #timer = new Timer()
  #isScheduled = false
  #isRunning = false
  #isInterrupted = false
  #hasEnded = false

  constructor(context: ReconcileContext) {
    this.#context = context
  }

  /** True after `end`. */
  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** Runs in the next turn. Call it when something that `reconcile` reads may have changed. */
  schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.run()
    })
  }

  /** Runs now. During an action it has no effect, because the actions are computed again afterwards. */
  run(): void {
    if (this.#isRunning || this.#hasEnded) return
    this.#isRunning = true
    this.#isInterrupted = false
    try {
      let actions: readonly Action<ManagedProcess>[]
      do {
        actions = reconcile(this.#context.snapshot())
        for (const action of actions) this.#context.execute(action)
      } while (actions.length > 0 && !this.#hasEnded && !this.#isInterrupted)
    } finally {
      this.#isRunning = false
    }
    this.#context.onSettled()
    this.#plan()
  }

  /** Ends the current run after an internal error: an action without an effect would be the next action again. */
  interrupt(): void {
    this.#isInterrupted = true
  }

  /** Nothing is reconciled any more. */
  end(): void {
    this.#hasEnded = true
    this.#timer.clear()
  }

  #plan(): void {
    const ms = this.#hasEnded ? null : reconcileInMs(this.#context.snapshot())
    if (ms === null) this.#timer.clear()
    else this.#timer.set(ms, () => this.schedule())
  }
}
