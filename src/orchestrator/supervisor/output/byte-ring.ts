const FIRST_CAPACITY = 4096

/**
 * A growing ring buffer of bytes (latin1 strings) whose oldest bytes can be dropped. It is outside the JavaScript heap,
 * where the garbage collector would copy retained strings repeatedly.
 */
export class ByteRing {
  #bytes: Buffer = Buffer.alloc(0)
  #start = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  append(text: string): void {
    if (text === '') return
    this.#reserve(text.length)
    const at = (this.#start + this.#length) % this.#bytes.length
    const first = this.#bytes.write(text, at, 'latin1')
    if (first < text.length) this.#bytes.write(text.slice(first), 0, 'latin1')
    this.#length += text.length
  }

  /** Drops the oldest `count` bytes. */
  drop(count: number): void {
    if (count === 0) return
    this.#start = (this.#start + count) % this.#bytes.length
    this.#length -= count
  }

  toString(): string {
    const end = this.#start + this.#length
    const first = this.#bytes.toString('latin1', this.#start, end)
    return end <= this.#bytes.length ? first : first + this.#bytes.toString('latin1', 0, end - this.#bytes.length)
  }

  #reserve(count: number): void {
    const wanted = this.#length + count
    if (wanted <= this.#bytes.length) return
    const content = this.toString()
    let capacity = Math.max(FIRST_CAPACITY, this.#bytes.length)
    while (capacity < wanted) capacity *= 2
    this.#bytes = Buffer.allocUnsafeSlow(capacity)
    this.#bytes.write(content, 'latin1')
    this.#start = 0
  }
}
