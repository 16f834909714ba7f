import { isFinal, type ProcessState } from './state.ts'

/** The result of a run that has ended by itself. */
export type RunResult = Extract<ProcessState, { type: 'completed' | 'failed' | 'skipped' }>

/** The runs of one process that have ended by themselves; a restart by the restart policy continues a run. */
export class EndedRuns {
  #count = 0
  #last: RunResult | null = null
  #lastSuccessAt: number | null = null

  get count(): number {
    return this.#count
  }

  get last(): RunResult | null {
    return this.#last
  }

  /** The end of the last run that succeeded, in milliseconds since 1970; null if there was none. */
  get lastSuccessAt(): number | null {
    return this.#lastSuccessAt
  }

  /** Call it after each change of the state. `now`: milliseconds since 1970. */
  onChange(before: ProcessState, after: ProcessState, now: number): void {
    if (isFinal(before) || !isResult(after)) return
    this.#count++
    this.#last = after
    if (after.type === 'completed') this.#lastSuccessAt = now
  }
}

function isResult(state: ProcessState): state is RunResult {
  return state.type === 'completed' || state.type === 'failed' || state.type === 'skipped'
}
