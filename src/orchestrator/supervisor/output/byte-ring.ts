const FIRST_CAPACITY = 4096

/**
 * Bytes in the order in which they came, of which the oldest can be dropped. Lives outside of the engine's heap, where what
 * is kept for a while would be copied again and again. One character is one byte (latin1).
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
    this.#makeRoomFor(text.length)
    const at = (this.#start + this.#length) % this.#bytes.length
    const first = this.#bytes.write(text, at, 'latin1')
    if (first < text.length) this.#bytes.write(text.slice(first), 0, 'latin1')
    this.#length += text.length
  }

  /** Forgets the oldest `count` bytes. */
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

  #makeRoomFor(count: number): void {
    const wanted = this.#length + count
    if (wanted <= this.#bytes.length) return
    const kept = this.toString()
    let capacity = Math.max(FIRST_CAPACITY, this.#bytes.length)
    while (capacity < wanted) capacity *= 2
    this.#bytes = Buffer.allocUnsafeSlow(capacity)
    this.#bytes.write(kept, 'latin1')
    this.#start = 0
  }
}
