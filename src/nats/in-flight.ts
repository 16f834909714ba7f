import type { PublishSlot } from './publish-slot.ts'

/** Messages that were sent and not acknowledged yet, in the order of the calls. */
export class InFlight implements Iterable<PublishSlot> {
  readonly #slots = new Map<number, PublishSlot>()
  #bytes = 0

  get size(): number {
    return this.#slots.size
  }

  /** Of all bodies. */
  get bytes(): number {
    return this.#bytes
  }

  get oldest(): PublishSlot | undefined {
    for (const slot of this.#slots.values()) return slot
    return undefined
  }

  get(number: number): PublishSlot | undefined {
    return this.#slots.get(number)
  }

  has(number: number): boolean {
    return this.#slots.has(number)
  }

  add(slot: PublishSlot): void {
    this.#slots.set(slot.number, slot)
    this.#bytes += slot.bytes
  }

  remove(slot: PublishSlot): void {
    if (this.#slots.delete(slot.number)) this.#bytes -= slot.bytes
  }

  /** Takes out those behind this place in the order. */
  removeBehind(number: number): readonly PublishSlot[] {
    const behind = [...this.#slots.values()].filter((slot) => slot.number > number)
    for (const slot of behind) this.remove(slot)
    return behind
  }

  [Symbol.iterator](): Iterator<PublishSlot> {
    return this.#slots.values()
  }
}
