/** Returns the values of those keys that have one. */
export type LoadMany<V> = (keys: readonly string[], signal: AbortSignal) => Promise<ReadonlyMap<string, V>>

interface Waiting<V> {
  readonly key: string
  readonly signal: AbortSignal
  resolve(value: V | null): void
  reject(reason: unknown): void
}

/** The most keys of one call. */
const MAX_KEYS = 500

/**
 * Loads values by their keys with few calls: the keys that are requested during a call are loaded together by the next one. The
 * number of keys that wait is that of the callers.
 */
export class BatchLoader<V> {
  readonly #loadMany: LoadMany<V>
  #waiting: Waiting<V>[] = []
  #isLoading = false

  constructor(loadMany: LoadMany<V>) {
    this.#loadMany = loadMany
  }

  /** Resolves to null if the key has no value. Rejects as `loadMany` does for this key alone. */
  async load(key: string, signal: AbortSignal): Promise<V | null> {
    return await new Promise<V | null>((resolve, reject) => {
      this.#waiting.push({ key, signal, resolve, reject })
      if (!this.#isLoading) void this.#loadAll()
    })
  }

  async #loadAll(): Promise<void> {
    this.#isLoading = true
    // Further keys are requested in the same turn.
    await Promise.resolve()
    while (this.#waiting.length > 0) await this.#loadTogether(this.#waiting.splice(0, MAX_KEYS))
    this.#isLoading = false
  }

  /** Never rejects. After a failure it loads the halves, so that a key or signal that causes it affects no other key. */
  async #loadTogether(batch: readonly Waiting<V>[]): Promise<void> {
    const [first] = batch
    if (first === undefined) return
    try {
      const keys = batch.map(({ key }) => key)
      const values = await this.#loadMany(keys, first.signal)
      for (const one of batch) one.resolve(values.get(one.key) ?? null)
    } catch (error) {
      if (batch.length === 1) return first.reject(error)
      const middle = Math.ceil(batch.length / 2)
      await this.#loadTogether(batch.slice(0, middle))
      await this.#loadTogether(batch.slice(middle))
    }
  }
}
