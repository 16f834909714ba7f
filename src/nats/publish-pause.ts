import type { NatsClient } from './connection.ts'
import type { PublishSlot } from './publish-slot.ts'

const FIRST_DELAY_MS = 100
const LAST_DELAY_MS = 5000

/** The waits while JetStream does not store, each longer than the one before; the log tells once why, and once that it is over. */
export class PublishPause {
  readonly #logger: NatsClient['logger']
  #delayMs = FIRST_DELAY_MS
  #timer: NodeJS.Timeout | undefined
  #isTold = false

  constructor(logger: NatsClient['logger']) {
    this.#logger = logger
  }

  /** Why this message is not stored. */
  tell({ publication: { subject } }: PublishSlot, inFlight: number, reason: string): void {
    if (!this.#isTold)
      this.#logger.warn({ subject, in_flight: inFlight }, `JetStream does not store: ${reason}; trying on`)
    this.#isTold = true
  }

  /** Calls `whenOver` after the next delay, unless it ends before. */
  start(whenOver: () => void): void {
    this.cancel()
    this.#timer = setTimeout(whenOver, this.#delayMs)
    this.#delayMs = Math.min(this.#delayMs * 2, LAST_DELAY_MS)
  }

  /** The trouble lasts, but there is no need to wait. */
  cancel(): void {
    clearTimeout(this.#timer)
  }

  /** The trouble is over: the next delay is the shortest again. */
  end(): void {
    this.cancel()
    this.#delayMs = FIRST_DELAY_MS
    if (this.#isTold) this.#logger.info('JetStream stores messages again')
    this.#isTold = false
  }
}
