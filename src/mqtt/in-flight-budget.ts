import type { BudgetLimits } from '../domain/byte-budget.ts'
import { SharedBudget } from '../domain/shared-budget.ts'

const DEFAULT_LIMITS: BudgetLimits = { items: 65_536, bytes: 128 * 1024 * 1024 }

/** A connection that is not read, because its owner uses its share. */
export interface WaitingConnection {
  readonly owner: string
  /** Called once when the owner may receive again. */
  readonly onRoom: () => void
}

/**
 * The messages of all connections that are received and not acknowledged. Their owners, the organizations, share the limits (see
 * SharedBudget): the flood of one, over however many connections, leaves room for the others.
 */
export class InFlightBudget {
  readonly #shared: SharedBudget<string>
  readonly #waiting = new Set<WaitingConnection>()
  #isWakeScheduled = false

  constructor(limits: Partial<BudgetLimits> = {}) {
    this.#shared = new SharedBudget({ ...DEFAULT_LIMITS, ...limits })
  }

  /** The bytes of all messages. */
  get bytes(): number {
    return this.#shared.bytes
  }

  /** The number of connections that wait. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Returns whether the owner may receive a further message. Its size is not known before it is read. */
  hasRoom(owner: string): boolean {
    return this.#shared.fits(owner, 1)
  }

  add(owner: string, bytes: number): void {
    this.#shared.add(owner, bytes)
  }

  remove(owner: string, bytes: number): void {
    this.#shared.remove(owner, bytes)
    if (this.#isWakeScheduled || this.#waiting.size === 0) return
    this.#isWakeScheduled = true
    // Once for all messages that are acknowledged in this turn of the event loop.
    setImmediate(() => this.#wake())
  }

  /** Calls `onRoom` when the owner may receive again. Has no effect for a connection that waits. */
  wait(connection: WaitingConnection): void {
    this.#waiting.add(connection)
  }

  leave(connection: WaitingConnection): void {
    this.#waiting.delete(connection)
  }

  /** Wakes connections in the order in which they began to wait, each if those before it have left room. */
  #wake(): void {
    this.#isWakeScheduled = false
    for (const connection of this.#waiting) {
      if (!this.hasRoom(connection.owner) || !this.#waiting.delete(connection)) continue
      connection.onRoom()
    }
  }
}
