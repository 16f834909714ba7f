import { Fifo } from '../domain/fifo.ts'

/**
 * A queue in which every key has its own line: `take` serves the keys in turn, so that a key with thousands of items delays
 * another key's first item by one item.
 */
export class FairQueue<T> {
  readonly #lines = new Map<string, Fifo<T>>()
  /** The keys that have a line, the next one first. */
  readonly #turns = new Fifo<string>()
  #size = 0

  get size(): number {
    return this.#size
  }

  /** How many items of this key wait. */
  sizeOf(key: string): number {
    return this.#lines.get(key)?.length ?? 0
  }

  push(key: string, item: T): void {
    const line = this.#lines.get(key) ?? this.#open(key)
    if (line.length === 0) this.#turns.push(key)
    line.push(item)
    this.#size++
  }

  /** Puts an item back to the front of its line; a key that had no line left is next. */
  unshift(key: string, item: T): void {
    const line = this.#lines.get(key) ?? this.#open(key)
    if (line.length === 0) this.#turns.unshift(key)
    line.unshift(item)
    this.#size++
  }

  /** The next item of the key whose turn it is; the key then waits behind all others. */
  take(): T | undefined {
    const key = this.#turns.shift()
    if (key === undefined) return undefined
    const line = this.#lines.get(key)
    const item = line?.shift()
    if (line !== undefined && line.length > 0) this.#turns.push(key)
    else this.#lines.delete(key)
    this.#size--
    return item
  }

  /** Takes all items of a key out, in their order. */
  remove(key: string): readonly T[] {
    const line = this.#lines.get(key)
    if (line === undefined) return []
    this.#lines.delete(key)
    this.#size -= line.length
    for (let left = this.#turns.length; left > 0; left -= 1) {
      const turn = this.#turns.shift()
      if (turn !== undefined && turn !== key) this.#turns.push(turn)
    }
    return Array.from({ length: line.length }, () => line.shift()).filter((item) => item !== undefined)
  }

  #open(key: string): Fifo<T> {
    const line = new Fifo<T>()
    this.#lines.set(key, line)
    return line
  }
}
