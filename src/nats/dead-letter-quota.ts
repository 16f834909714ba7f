import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../runner/logger.ts'
import { natsMetrics } from './metrics.ts'

const HOUR_MS = 3_600_000
/** Beyond the quota, one of this many dead letters is stored. */
const SAMPLE_INTERVAL = 1000
const MAX_ORGANIZATIONS = 10_000

/** Returns whether the `number`-th dead letter of an organization in an hour is stored. A quota of 0 is no limit. */
export function isStored(number: number, quota: number): boolean {
  return quota === 0 || number <= quota || (number - quota) % SAMPLE_INTERVAL === 0
}

interface Usage {
  failed: number
  dropped: number
}

/**
 * Bounds the dead letters that a process stores for each organization per hour since its start, so that one organization does not
 * fill their stream. Messages of an unknown organization share a quota. Dropped dead letters are counted, and logged once per
 * organization and hour. It remembers the 10,000 organizations that failed last; one that is forgotten starts again at 0.
 */
export class DeadLetterQuota {
  readonly #perHour: number
  readonly #logger: Logger
  /** By organization, the least recently used first. */
  readonly #usages = new Map<string | undefined, Usage>()

  constructor(perHour: number, logger: Logger) {
    this.#perHour = perHour
    this.#logger = logger
  }

  /** Counts a dead letter, and returns whether to store it. `cause` is a label of the metric, with few different values. */
  admit(organizationId: string | undefined, cause: string): boolean {
    const usage = this.#usages.get(organizationId) ?? { failed: 0, dropped: 0 }
    this.#usages.delete(organizationId)
    this.#usages.set(organizationId, usage)
    if (this.#usages.size > MAX_ORGANIZATIONS) this.#forgetOldest()
    usage.failed += 1
    if (isStored(usage.failed, this.#perHour)) return true
    usage.dropped += 1
    natsMetrics.deadLetters.inc({ cause, outcome: 'dropped' })
    return false
  }

  /** Begins a new hour once an hour until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(HOUR_MS, undefined, { signal }).catch(() => {})
      if (!signal.aborted) this.endHour()
    }
  }

  /** Logs what was dropped since the begin of the hour, and forgets all organizations. */
  endHour(): void {
    while (this.#usages.size > 0) this.#forgetOldest()
  }

  #forgetOldest(): void {
    for (const [organizationId, { failed, dropped }] of this.#usages) {
      this.#usages.delete(organizationId)
      if (dropped > 0) this.#log(organizationId, failed, dropped)
      return
    }
  }

  #log(organizationId: string | undefined, failed: number, dropped: number): void {
    const owner =
      organizationId === undefined ? 'messages without a known organization' : `organization ${organizationId}`
    this.#logger.warn(
      { organization_id: organizationId, failed, dropped },
      `dropped ${dropped} of ${failed} dead letters of ${owner} within an hour: PONIX_DEAD_LETTER_QUOTA is ${this.#perHour}`,
    )
  }
}
