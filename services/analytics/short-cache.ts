interface Entry<V> {
  readonly value: Promise<V>
  readonly until: number
}

export interface ShortCacheOptions {
  /** From the moment the value was asked for, in milliseconds: a value is never older. */
  readonly timeToLiveMs: number
  readonly maxEntries: number
  /** A monotonic clock in milliseconds. */
  now(): number
}

/** Remembers what was loaded for a moment; callers of the same key share one load. A load that fails is not remembered. */
export class ShortCache<V> {
  readonly #entries = new Map<string, Entry<V>>()
  readonly #options: ShortCacheOptions

  constructor(options: ShortCacheOptions) {
    this.#options = options
  }

  async get(key: string, load: () => Promise<V>): Promise<V> {
    const known = this.#entries.get(key)
    if (known !== undefined && known.until > this.#options.now()) return await known.value
    const entry: Entry<V> = { value: load(), until: this.#options.now() + this.#options.timeToLiveMs }
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    this.#forgetOldest()
    try {
      return await entry.value
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#entries.delete(key)
      throw error
    }
  }

  /** The next `get` loads anew. */
  invalidate(key: string): void {
    this.#entries.delete(key)
  }

  #forgetOldest(): void {
    if (this.#entries.size <= this.#options.maxEntries) return
    const [oldest] = this.#entries.keys()
    if (oldest !== undefined) this.#entries.delete(oldest)
  }
}
