/**
 * Why a message cannot be an envelope: its topic names no device of the organization, its body is not an uplink, no device has its
 * external id, or NATS cannot transport it.
 */
export type RefusalReason = 'invalid_topic' | 'invalid_uplink' | 'unknown_device' | 'not_publishable'

export type RefusalCounts = Readonly<Partial<Record<RefusalReason, number>>>

const REPORT_INTERVAL_MS = 60_000

/**
 * Counts the messages of a gateway that cannot be envelopes. They are reported at most once a minute, and those with a wrong topic
 * once: a broad topic filter on a shared broker receives them continuously.
 */
export class Refusals {
  #counts: RefusalCounts = {}
  #unreported = 0
  #reportAtMs = -Infinity
  #topicReported = false

  get counts(): RefusalCounts {
    return this.#counts
  }

  /** Counts a message; returns how many to report now, which is 0 if no report is due. */
  record(reason: RefusalReason, nowMs: number): number {
    this.#counts = { ...this.#counts, [reason]: (this.#counts[reason] ?? 0) + 1 }
    this.#unreported += 1
    const isTopic = reason === 'invalid_topic'
    if (nowMs < this.#reportAtMs || (isTopic && this.#topicReported)) return 0
    this.#topicReported ||= isTopic
    this.#reportAtMs = nowMs + REPORT_INTERVAL_MS
    const count = this.#unreported
    this.#unreported = 0
    return count
  }
}
