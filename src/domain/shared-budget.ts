import { ByteBudget, type BudgetLimits } from './byte-budget.ts'

/**
 * A budget of several owners. An owner may use as much as it leaves free (dynamic threshold, Choudhury and Hahne 1998): one alone uses
 * half of the limits, two together two thirds, and an owner that uses little always finds room.
 */
export class SharedBudget<Owner> {
  readonly #total: ByteBudget
  readonly #own = new Map<Owner, ByteBudget>()

  constructor(limits: BudgetLimits) {
    this.#total = new ByteBudget(limits)
  }

  /** The bytes of all owners. */
  get bytes(): number {
    return this.#total.bytes
  }

  get isEmpty(): boolean {
    return this.#total.isEmpty
  }

  get isFull(): boolean {
    return this.#total.isFull
  }

  /** The number of items of an owner. */
  itemsOf(owner: Owner): number {
    return this.#own.get(owner)?.items ?? 0
  }

  /** Returns whether a further item is within the share of its owner and within the limits. */
  fits(owner: Owner, bytes: number): boolean {
    const { limits, left } = this.#total
    const own = this.#own.get(owner)?.left ?? limits
    const isWithinShare = limits.items - own.items < left.items && limits.bytes - own.bytes < left.bytes
    return isWithinShare && this.#total.fits(bytes)
  }

  add(owner: Owner, bytes: number): void {
    this.#total.add(bytes)
    let own = this.#own.get(owner)
    if (own === undefined) {
      own = new ByteBudget(this.#total.limits)
      this.#own.set(owner, own)
    }
    own.add(bytes)
  }

  remove(owner: Owner, bytes: number): void {
    this.#total.remove(bytes)
    const own = this.#own.get(owner)
    own?.remove(bytes)
    if (own?.isEmpty === true) this.#own.delete(owner)
  }
}
