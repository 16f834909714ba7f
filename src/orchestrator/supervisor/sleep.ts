/** Longer timers fire at once. */
export const LONGEST_TIMER_MS = 2_147_483_647

/** Resolves after `ms` milliseconds, or as soon as `signal` is aborted: look at it afterwards. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve()
      return
    }
    const wake = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', wake)
      resolve()
    }
    const timer = setTimeout(wake, Math.min(ms, LONGEST_TIMER_MS))
    signal?.addEventListener('abort', wake, { once: true })
  })
}
