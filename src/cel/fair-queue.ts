import { Fifo } from '../domain/fifo.ts'

/** A queue that serves its keys in turn: thousands of items of one key delay another key's first item by one item. */
export class FairQueue<T> {
  readonly #queues = new Map<string, Fifo<T>>()
  /** The keys with queued items, the next key first. */
  readonly #turns = new Fifo<string>()
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Returns the number of queued items of a key. */
  sizeOf(key: string): number {
    return this.#queues.get(key)?.length ?? 0
  }

  push(key: string, item: T): void {
    const queue = this.#queues.get(key) ?? this.#open(key)
    if (queue.length === 0) this.#turns.push(key)
    queue.push(item)
    this.#size++
  }

  /** Adds an item to the front of its key's queue; a key without queued items is served next. */
  unshift(key: string, item: T): void {
    const queue = this.#queues.get(key) ?? this.#open(key)
    if (queue.length === 0) this.#turns.unshift(key)
    queue.unshift(item)
    this.#size++
  }

  /** Removes the next item of the first key in turn, which then goes to the end of the turns. */
  take(): T | undefined {
    const key = this.#turns.shift()
    if (key === undefined) return undefined
    const queue = this.#queues.get(key)
    const item = queue?.shift()
    if (queue !== undefined && queue.length > 0) this.#turns.push(key)
    else this.#queues.delete(key)
    this.#size--
    return item
  }

  /** Removes all items of a key and returns them in order. */
  remove(key: string): readonly T[] {
    const queue = this.#queues.get(key)
    if (queue === undefined) return []
    this.#queues.delete(key)
    this.#size -= queue.length
    for (let left = this.#turns.length; left > 0; left -= 1) {
      const turn = this.#turns.shift()
      if (turn !== undefined && turn !== key) this.#turns.push(turn)
    }
    return queue.drain()
  }

  #open(key: string): Fifo<T> {
    const queue = new Fifo<T>()
    this.#queues.set(key, queue)
    return queue
  }
}
