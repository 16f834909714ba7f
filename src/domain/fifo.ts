const COMPACT_AT = 1024

/** A first-in first-out queue: every operation is O(1) on average, unlike `Array.shift`. */
export class Fifo<T> {
  #items: (T | undefined)[] = []
  #head = 0

  get length(): number {
    return this.#items.length - this.#head
  }

  push(item: T): void {
    this.#items.push(item)
  }

  /** Adds an item at the front, so that `shift` returns it next. */
  unshift(item: T): void {
    if (this.#head === 0) this.#items.unshift(item)
    else this.#items[--this.#head] = item
  }

  peek(): T | undefined {
    return this.#items[this.#head]
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined
    const item = this.#items[this.#head]
    // Releases the item for garbage collection.
    this.#items[this.#head++] = undefined
    if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  /** Removes all items and returns them, oldest first. */
  drain(): readonly T[] {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the items from the head on were pushed as T
    const items = this.#items.slice(this.#head) as T[]
    this.#items = []
    this.#head = 0
    return items
  }
}

/** Deletes the oldest entries until the map has at most `maxSize`. */
export function evictOldest(map: Map<unknown, unknown>, maxSize: number): void {
  for (const key of map.keys()) {
    if (map.size <= maxSize) return
    map.delete(key)
  }
}
