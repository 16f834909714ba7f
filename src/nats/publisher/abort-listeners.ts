/**
 * Calls many listeners when a signal aborts, with one listener of the signal: Node takes eleven for a leak and warns of it, and adding and
 * removing one costs as much as publishing a message.
 */
export class AbortListeners {
  readonly #bySignal = new Map<AbortSignal, Set<() => void>>()

  /** Calls `listener` when the signal aborts. Returns a function that removes it. */
  add(signal: AbortSignal, listener: () => void): () => void {
    const listeners = this.#bySignal.get(signal) ?? this.#watch(signal)
    listeners.add(listener)
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0) this.#unwatch(signal)
    }
  }

  #watch(signal: AbortSignal): Set<() => void> {
    const listeners = new Set<() => void>()
    this.#bySignal.set(signal, listeners)
    signal.addEventListener('abort', this.#onAbort)
    return listeners
  }

  #unwatch(signal: AbortSignal): void {
    this.#bySignal.delete(signal)
    signal.removeEventListener('abort', this.#onAbort)
  }

  readonly #onAbort = ({ target }: Event): void => {
    if (!(target instanceof AbortSignal)) return
    for (const listener of this.#bySignal.get(target) ?? []) listener()
  }
}
