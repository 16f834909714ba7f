import { reconcile } from './rules/reconcile.ts'
import { reconcileInMs } from './rules/settling.ts'
import type { Action, ReconciledProcess, Snapshot } from './rules/snapshot.ts'
import { Timer } from './timers.ts'

export interface ReconcileContext<P extends ReconciledProcess> {
  readonly snapshot: () => Snapshot<P>
  readonly execute: (action: Action<P>) => void
  /** Called when no action is left. */
  readonly onSettled: () => void
}

/** Executes the actions that `reconcile` returns until there are none, once per turn of the event loop. */
export class ReconcileLoop<P extends ReconciledProcess> {
  readonly #context: ReconcileContext<P>
  /** For the next actions that follow from the time alone. */
  readonly #timer = new Timer()
  #isScheduled = false
  #isRunning = false
  #isInterrupted = false
  #hasEnded = false

  constructor(context: ReconcileContext<P>) {
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
    let snapshot: Snapshot<P>
    try {
      let actions: readonly Action<P>[]
      do {
        snapshot = this.#context.snapshot()
        actions = reconcile(snapshot)
        for (const action of actions) this.#context.execute(action)
      } while (actions.length > 0 && !this.#hasEnded && !this.#isInterrupted)
    } finally {
      this.#isRunning = false
    }
    this.#context.onSettled()
    this.#plan(snapshot)
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

  /** Takes the snapshot of the last decision: with a later time, an action that has become possible since would be missed. */
  #plan(snapshot: Snapshot<P>): void {
    const ms = this.#hasEnded ? null : reconcileInMs(snapshot)
    if (ms === null) this.#timer.clear()
    else this.#timer.set(ms, () => this.schedule())
  }
}
