import { LONGEST_TIMER_MS } from './sleep.ts'

/** One thing that is to happen later, if nothing comes in between. Setting it again takes the place of what was set. */
export class Timer {
  #timeout: NodeJS.Timeout | null = null

  get isSet(): boolean {
    return this.#timeout !== null
  }

  /** Calls `act` after `ms` milliseconds. */
  set(ms: number, act: () => void): void {
    this.clear()
    this.#timeout = setTimeout(act, Math.min(ms, LONGEST_TIMER_MS))
  }

  clear(): void {
    if (this.#timeout !== null) clearTimeout(this.#timeout)
    this.#timeout = null
  }
}

/** Whole milliseconds since `since`, on the clock of `performance.now()`. */
export function elapsed(since: number): number {
  return Math.round(performance.now() - since)
}
