/** Promises that resolve when a condition on the state of the supervisor is met. */
export class Waiters {
  readonly #checks = new Set<() => void>()

  /** Resolves when `isMet` returns true, or `signal` is aborted. It is called now and by every `check`. */
  until(isMet: () => boolean, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (!isMet() && signal?.aborted !== true) return
        this.#checks.delete(check)
        signal?.removeEventListener('abort', check)
        resolve()
      }
      this.#checks.add(check)
      signal?.addEventListener('abort', check)
      check()
    })
  }

  /** Call it when the state may have changed. */
  check(): void {
    for (const check of this.#checks) check()
  }
}
