export interface LookupCacheOptions<V> {
  /** Returns the time of a monotonic clock in milliseconds. */
  now(): number
  /** Returns whether `invalidate` is currently called for every change. */
  cdcAvailable(): boolean
  weightOf(value: V): number
  readonly maxWeight: number
  readonly maxEntries: number
}

/** TTL without CDC events; a change must take effect within a second. */
const TTL_MS = 900
/** TTL with CDC events, in case the sender cannot publish an event. */
const TTL_WITH_CDC_MS = 30_000
/** An event can arrive shortly before its commit is visible: a value read in this window after it can be stale. */
const STALE_READ_WINDOW_MS = 1000
const MAX_INVALIDATED = 10_000

interface Entry<V> {
  /** A promise while it is loading. */
  value: V | Promise<V>
  readonly loadedAt: number
  /** True if the value was loaded in the stale read window. */
  readonly maybeStale: boolean
  weight: number
}

/**
 * An LRU cache of look-ups. Callers of the same key share one load. A value that is loading when its key is invalidated is
 * returned to its callers but not cached; failed loads are not cached either.
 */
export class LookupCache<V> {
  readonly #options: LookupCacheOptions<V>
  readonly #entries = new Map<string, Entry<V>>()
  /** Time of the last invalidation per key, latest last. */
  readonly #invalidated = new Map<string, number>()
  #allStaleUntil = -Infinity
  #weight = 0

  constructor(options: LookupCacheOptions<V>) {
    this.#options = options
  }

  get size(): number {
    return this.#entries.size
  }

  /** Returns a value, synchronously if it is cached: a promise per look-up would dominate its cost. */
  get(key: string, load: () => Promise<V>): V | Promise<V> {
    const cached = this.#entries.get(key)
    if (cached !== undefined && this.#isValid(cached)) {
      this.#entries.delete(key)
      this.#entries.set(key, cached)
      return cached.value
    }
    this.#remove(key)
    return this.#load(key, load)
  }

  /** Invalidates a key whose value changed or is about to change. */
  invalidate(key: string): void {
    this.#remove(key)
    this.#invalidated.delete(key)
    this.#invalidated.set(key, this.#options.now())
    if (this.#invalidated.size > MAX_INVALIDATED) this.#trimInvalidated()
  }

  /** Invalidates all keys. */
  clear(): void {
    this.#entries.clear()
    this.#weight = 0
    this.#markAllStale()
  }

  async #load(key: string, load: () => Promise<V>): Promise<V> {
    const now = this.#options.now()
    const invalidatedAt = this.#invalidated.get(key) ?? -Infinity
    const maybeStale = now < this.#allStaleUntil || now - invalidatedAt < STALE_READ_WINDOW_MS
    const entry: Entry<V> = { value: load(), loadedAt: now, maybeStale, weight: 0 }
    this.#entries.set(key, entry)
    try {
      const value = await entry.value
      entry.value = value
      if (this.#entries.get(key) === entry) this.#weigh(entry, value)
      return value
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#remove(key)
      throw error
    }
  }

  #isValid({ loadedAt, maybeStale }: Entry<V>): boolean {
    const age = this.#options.now() - loadedAt
    return age < TTL_MS || (!maybeStale && age < TTL_WITH_CDC_MS && this.#options.cdcAvailable())
  }

  #weigh(entry: Entry<V>, value: V): void {
    const { maxEntries, maxWeight } = this.#options
    entry.weight = this.#options.weightOf(value)
    this.#weight += entry.weight
    for (const key of this.#entries.keys()) {
      if (this.#entries.size <= maxEntries && this.#weight <= maxWeight) return
      this.#remove(key)
    }
  }

  #remove(key: string): void {
    this.#weight -= this.#entries.get(key)?.weight ?? 0
    this.#entries.delete(key)
  }

  #trimInvalidated(): void {
    const windowStart = this.#options.now() - STALE_READ_WINDOW_MS
    for (const [key, at] of this.#invalidated) if (at <= windowStart) this.#invalidated.delete(key)
    if (this.#invalidated.size > MAX_INVALIDATED) this.#markAllStale()
  }

  #markAllStale(): void {
    this.#invalidated.clear()
    this.#allStaleUntil = this.#options.now() + STALE_READ_WINDOW_MS
  }
}
