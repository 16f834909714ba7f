import type { BudgetLimits } from '../../../src/domain/byte-budget.ts'
import { SharedBudget } from '../../../src/domain/shared-budget.ts'

/** The number of undelivered messages from which on the consumer is behind. */
const BEHIND = 1000
/** The envelopes of an organization in progress while the consumer is behind: few, so that it reads those of the others sooner. */
const MAX_OPEN_BEHIND = 8
/** The largest body that can wait as surplus. */
const MAX_SURPLUS_BYTES = 64 * 1024
/** The time for which an organization counts after its last envelope. */
export const ACTIVE_MS = 3_600_000

export interface AdmissionOptions {
  /** The limits of all envelopes in progress. */
  readonly limits: BudgetLimits
  /** Whether several organizations were active before the start. */
  readonly wasShared: boolean
  /** Returns a time in milliseconds. */
  now(): number
}

/**
 * Determines which raw envelopes are processed immediately. All organizations share one stream, which is read in its order; to read
 * the envelopes of the others, those beyond the share of an organization are set aside (see SurplusWriter):
 *
 * | active organizations | consumer   | an organization may have in progress |
 * | -------------------- | ---------- | ------------------------------------ |
 * | one                  |            | all; the stream waits                |
 * | several              | up to date | as many envelopes as it leaves free  |
 * | several              | behind     | 8                                    |
 */
export class Admission {
  readonly #options: AdmissionOptions
  readonly #open: SharedBudget<string>
  #isBehind = false
  #lastOrganization: string | undefined
  #sharedUntil = -Infinity
  #wake = (): void => {}

  constructor(options: AdmissionOptions) {
    this.#options = options
    this.#open = new SharedBudget(options.limits)
    if (options.wasShared) this.#sharedUntil = options.now() + ACTIVE_MS
  }

  /** Whether messages wait that the consumer has not read. */
  get isBehind(): boolean {
    return this.#isBehind
  }

  /** Reports the number of messages that the consumer has not read. */
  set pending(messages: number) {
    this.#isBehind = messages >= BEHIND
  }

  /** Counts an envelope in progress; returns false if it is beyond the share of its organization, and then does not count it. */
  admit(organizationId: string, bytes: number): boolean {
    if (organizationId !== this.#lastOrganization) this.#recordChange(organizationId)
    if (!this.#hasRoom(organizationId, bytes) && this.canBeSurplus(bytes)) return false
    this.#open.add(organizationId, bytes)
    return true
  }

  release(organizationId: string, bytes: number): void {
    this.#open.remove(organizationId, bytes)
    if (!this.#open.isFull) this.#wake()
  }

  /** Resolves when fewer envelopes are in progress than the limits allow, or when the signal aborts. One call at a time. */
  async untilRoom(signal: AbortSignal): Promise<void> {
    if (!this.#open.isFull || signal.aborted) return
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
    this.#wake = () => {}
  }

  /** Returns whether an envelope that cannot be processed now is set aside; otherwise the stream waits for it. */
  canBeSurplus(bytes: number): boolean {
    return bytes <= MAX_SURPLUS_BYTES && this.#options.now() < this.#sharedUntil
  }

  #recordChange(organizationId: string): void {
    if (this.#lastOrganization !== undefined) this.#sharedUntil = this.#options.now() + ACTIVE_MS
    this.#lastOrganization = organizationId
  }

  #hasRoom(organizationId: string, bytes: number): boolean {
    const count = this.#open.itemsOf(organizationId)
    if (count === 0) return true
    return this.#isBehind ? count < MAX_OPEN_BEHIND : this.#open.fits(organizationId, bytes)
  }
}
