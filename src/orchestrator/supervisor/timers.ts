/** One cancellable time-out. Setting it again replaces the earlier one. */
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

/** Returns the whole milliseconds since `since`, on the clock of `performance.now()`. */
export function elapsed(since: number): number {
  return Math.round(performance.now() - since)
}

/** The maximum delay of a timer; Node.js fires longer timers immediately. */
export const LONGEST_TIMER_MS = 2_147_483_647

/** Settles as `promise` does, or resolves after `ms` milliseconds. */
export async function waitAtMost(ms: number, promise: Promise<unknown>): Promise<void> {
  const timer = new Timer()
  const timedOut = new Promise<void>((resolve) => timer.set(ms, resolve))
  await Promise.race([promise, timedOut]).finally(() => timer.clear())
}

/** Resolves after `ms` milliseconds, or when `signal` is aborted. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve()
    const wake = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', wake)
      resolve()
    }
    const timer = setTimeout(wake, Math.min(ms, LONGEST_TIMER_MS))
    signal?.addEventListener('abort', wake, { once: true })
  })
}
