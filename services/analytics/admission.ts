import { setTimeout as sleep } from 'node:timers/promises'
import type { BudgetLimits } from '../../src/domain/byte-budget.ts'
import { messageOf } from '../../src/domain/errors.ts'
import type { OrganizationRepository } from '../../src/domain/ports.ts'
import { SharedBudget } from '../../src/domain/shared-budget.ts'
import type { Logger } from '../../src/runner/logger.ts'

/** The number of undelivered messages from which on the consumer is behind. */
const BEHIND = 1000
/** The envelopes of an organization in progress while the consumer is behind: few, so that it reads the others' sooner. */
const MAX_OPEN_BEHIND = 32
/** The largest body that can wait as surplus. */
const MAX_SURPLUS_BYTES = 64 * 1024
const REFRESH_INTERVAL_MS = 10_000

export interface AdmissionParts {
  /** The limits of the consumer. */
  readonly limits: BudgetLimits
  readonly organizations: Pick<OrganizationRepository, 'list'>
  readonly logger: Logger
}

/**
 * Determines which raw envelopes are processed immediately. All organizations share one stream, which is read in its order; to read
 * the envelopes of the others, those beyond the share of an organization are set aside (see SurplusWriter):
 *
 * | organizations | consumer   | an organization may have in progress         |
 * | ------------- | ---------- | -------------------------------------------- |
 * | one           |            | all; the stream waits                        |
 * | several       | up to date | as many envelopes as it leaves free          |
 * | several       | behind     | 32                                           |
 */
export class Admission {
  readonly #parts: AdmissionParts
  readonly #open: SharedBudget<string>
  #isBehind = false
  #isShared = true

  constructor(parts: AdmissionParts) {
    this.#parts = parts
    this.#open = new SharedBudget(parts.limits)
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
    if (this.canBeSurplus(bytes) && !this.#hasRoom(organizationId, bytes)) return false
    this.#open.add(organizationId, bytes)
    return true
  }

  release(organizationId: string, bytes: number): void {
    this.#open.remove(organizationId, bytes)
  }

  /** Returns whether an envelope that cannot be processed now is set aside; otherwise the stream waits for it. */
  canBeSurplus(bytes: number): boolean {
    return this.#isShared && bytes <= MAX_SURPLUS_BYTES
  }

  /** Finds out repeatedly whether there are several organizations, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.refresh(signal)
      await sleep(REFRESH_INTERVAL_MS, undefined, { signal }).catch(() => {})
    }
  }

  /** Finds out whether there are several organizations. Never rejects: while it is not known, there are. */
  async refresh(signal?: AbortSignal): Promise<void> {
    const { organizations, logger } = this.#parts
    try {
      const { items } = await organizations.list({ size: 2, after: null }, signal === undefined ? {} : { signal })
      this.#isShared = items.length > 1
    } catch (error) {
      if (signal?.aborted !== true) logger.debug(`cannot read the organizations: ${messageOf(error)}`)
    }
  }

  #hasRoom(organizationId: string, bytes: number): boolean {
    const count = this.#open.itemsOf(organizationId)
    if (count === 0) return true
    return this.#isBehind ? count < MAX_OPEN_BEHIND : this.#open.fits(organizationId, bytes)
  }
}
