/** The limits of a queue, buffer or batch. */
export interface BudgetLimits {
  readonly items: number
  readonly bytes: number
}

/**
 * Counts the items of a queue, buffer or batch and their bytes against the limits of both. An empty budget accepts an item of any
 * size, because an item that never fits would stop the queue.
 */
export class ByteBudget {
  readonly limits: BudgetLimits
  #items = 0
  #bytes = 0

  constructor(limits: BudgetLimits) {
    this.limits = limits
  }

  get items(): number {
    return this.#items
  }

  get bytes(): number {
    return this.#bytes
  }

  get isEmpty(): boolean {
    return this.#items === 0
  }

  /** Returns what is left of both limits; not negative. */
  get left(): BudgetLimits {
    const { items, bytes } = this.limits
    return { items: Math.max(0, items - this.#items), bytes: Math.max(0, bytes - this.#bytes) }
  }

  /** Returns whether one of the limits is reached, so that no further item fits. */
  get isFull(): boolean {
    return !this.isEmpty && (this.#items >= this.limits.items || this.#bytes >= this.limits.bytes)
  }

  fits(bytes: number): boolean {
    return this.isEmpty || (!this.isFull && this.#bytes + bytes <= this.limits.bytes)
  }

  add(bytes: number): void {
    this.#items += 1
    this.#bytes += bytes
  }

  remove(bytes: number): void {
    this.#items -= 1
    this.#bytes -= bytes
  }

  clear(): void {
    this.#items = 0
    this.#bytes = 0
  }
}
