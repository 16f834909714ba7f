import type { ResolvedProcess } from '../../config/resolved.ts'
import type { SupervisorEvent } from '../events.ts'
import type { RestartDecision, RestartHistory } from '../rules/restart-policy.ts'
import { Timer } from '../timers.ts'
import type { ChildGroups } from './child-groups.ts'

export interface BackoffContext {
  readonly definition: ResolvedProcess
  readonly groups: ChildGroups
  readonly history: RestartHistory
  readonly emit: (event: SupervisorEvent | { readonly type: 'changed' }) => void
}

/** The wait before a restart. It ends after its time, or when the orphans of the last child are gone, if that takes longer. */
export class Backoff {
  readonly #context: BackoffContext
  readonly #timer = new Timer()
  #isOver = false

  constructor(context: BackoffContext) {
    this.#context = context
  }

  /** True from the end of a backoff until `reset`. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Reports a restart and begins the wait. `uptimeMs` is that of the last child. */
  begin(decision: Extract<RestartDecision, { type: 'backoff' }>, uptimeMs: number): void {
    const { definition, groups, history, emit } = this.#context
    const { name: process, restart } = definition
    const { attempt, waitMs, reason } = decision
    history.onBackoff(decision, performance.now())
    emit({ type: 'restart_scheduled', process, attempt, maxAttempts: history.lastAttempt, waitMs })
    if (history.isLoop(decision)) {
      emit({ type: 'restart_loop', process, exits: attempt, reason, uptimeMs, everyMs: restart.maxBackoffMs })
    }
    this.reset()
    this.#timer.set(waitMs, () => void this.#end({ groupsOnly: waitMs === 0 }))
    if (waitMs > 0) void groups.reap()
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
      this.#context.emit({ type: 'changed' })
    }
    await this.#context.groups.reapThen(end, options)
  }
}
