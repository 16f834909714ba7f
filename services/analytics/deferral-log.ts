import type { Logger } from '../../src/runner/logger.ts'

const LOG_INTERVAL_MS = 10_000

/** Logs that envelopes wait, with their number and the reason of one of them, at most every 10 s. */
export class DeferralLog {
  readonly #logger: Logger
  readonly #text: string
  #count = 0
  #loggedAt = -Infinity

  /** `text`: what they wait for. */
  constructor(logger: Logger, text: string) {
    this.#logger = logger
    this.#text = text
  }

  add(reason: string, envelopes = 1): void {
    this.#count += envelopes
    if (performance.now() - this.#loggedAt < LOG_INTERVAL_MS) return
    this.#loggedAt = performance.now()
    this.#logger.warn({ envelopes: this.#count }, `${this.#text}: ${reason}`)
    this.#count = 0
  }
}
