export interface LookupCacheOptions<V> {
  /** A monotonic clock in milliseconds. */
  now(): number
  /** Whether `invalidate` is called for every change now: then values may be kept for long. */
  changesAreKnown(): boolean
  /** What is kept of a value, in a unit of one's own. */
  weightOf(value: V): number
  readonly maxWeight: number
  readonly maxEntries: number
}

/** Milliseconds that a value is used for without a word of its changes: less than a second, as P-6 wants it. */
const UNWATCHED_MS = 900
/** The same when changes are known: a second net, for an event that its sender cannot send. */
const WATCHED_MS = 30_000
/** An event may arrive a moment before the store shows the change to everybody; what is read in this time may be old. */
const UNSURE_MS = 1000
const MAX_UNSURE = 10_000

interface Entry<V> {
  /** A promise until it has been loaded. */
  value: V | Promise<V>
  /** Before the store was asked. */
  readonly askedAt: number
  readonly sure: boolean
  weight: number
}

/**
 * Remembers what was looked up until it changes, or for a short time while changes are not known; callers of the same key share
 * one load. What is loading when its key is invalidated goes to those who asked before, and is not kept. A load that fails is
 * not kept either. What was not used for longest is forgotten first.
 */
export class LookupCache<V> {
  readonly #options: LookupCacheOptions<V>
  readonly #entries = new Map<string, Entry<V>>()
  /** When which key was invalidated, the latest last; those of the last second. */
  readonly #invalidated = new Map<string, number>()
  #allUnsureUntil = -Infinity
  #weight = 0

  constructor(options: LookupCacheOptions<V>) {
    this.#options = options
  }

  get size(): number {
    return this.#entries.size
  }

  /** At once when it is known: most are, and a promise for each would cost more than all else here. */
  get(key: string, load: () => Promise<V>): V | Promise<V> {
    const known = this.#entries.get(key)
    if (known !== undefined && this.#isValid(known)) {
      this.#entries.delete(key)
      this.#entries.set(key, known)
      return known.value
    }
    this.#forget(key)
    return this.#load(key, load)
  }

  /** The value of this key has changed, or will within a moment. */
  invalidate(key: string): void {
    this.#forget(key)
    this.#invalidated.delete(key)
    this.#invalidated.set(key, this.#options.now())
    if (this.#invalidated.size > MAX_UNSURE) this.#trimInvalidated()
  }

  /** Any value may have changed. */
  clear(): void {
    this.#entries.clear()
    this.#weight = 0
    this.#invalidated.clear()
    this.#allUnsureUntil = this.#options.now() + UNSURE_MS
  }

  async #load(key: string, load: () => Promise<V>): Promise<V> {
    const entry: Entry<V> = { value: load(), askedAt: this.#options.now(), sure: this.#isSure(key), weight: 0 }
    this.#entries.set(key, entry)
    try {
      const value = await entry.value
      entry.value = value
      if (this.#entries.get(key) === entry) this.#weigh(entry, value)
      return value
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#forget(key)
      throw error
    }
  }

  #isValid({ askedAt, sure }: Entry<V>): boolean {
    const age = this.#options.now() - askedAt
    return age < UNWATCHED_MS || (sure && age < WATCHED_MS && this.#options.changesAreKnown())
  }

  #isSure(key: string): boolean {
    const now = this.#options.now()
    const invalidatedAt = this.#invalidated.get(key) ?? -Infinity
    return now >= this.#allUnsureUntil && now - invalidatedAt >= UNSURE_MS
  }

  #weigh(entry: Entry<V>, value: V): void {
    const { maxEntries, maxWeight } = this.#options
    entry.weight = this.#options.weightOf(value)
    this.#weight += entry.weight
    for (const key of this.#entries.keys()) {
      if (this.#entries.size <= maxEntries && this.#weight <= maxWeight) return
      this.#forget(key)
    }
  }

  #forget(key: string): void {
    this.#weight -= this.#entries.get(key)?.weight ?? 0
    this.#entries.delete(key)
  }

  #trimInvalidated(): void {
    const past = this.#options.now() - UNSURE_MS
    for (const [key, at] of this.#invalidated) if (at <= past) this.#invalidated.delete(key)
    // So many at once: not worth telling apart.
    if (this.#invalidated.size > MAX_UNSURE) {
      this.#invalidated.clear()
      this.#allUnsureUntil = this.#options.now() + UNSURE_MS
    }
  }
}
