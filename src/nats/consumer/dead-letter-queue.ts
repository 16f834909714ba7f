import { ByteBudget, type BudgetLimits } from '../../domain/byte-budget.ts'
import { messageOf } from '../../domain/errors.ts'
import { evictOldest } from '../../domain/fifo.ts'
import type { ConsumerLog } from './consumer-log.ts'
import type { ConsumerOptions } from './consumer-options.ts'
import { publishDeadLetter, REPLAY_HEADERS, shortened } from '../dead-letters.ts'
import type { MessageFailure, PulledMessage } from '../delivery.ts'
import { natsMetrics } from '../metrics.ts'
import { createProducer, type Producer } from '../publisher/producer.ts'

interface DeadLetterQueueParts {
  readonly options: ConsumerOptions
  /** The maximum number and bytes of messages that wait for their dead letters. */
  readonly limits: BudgetLimits
  readonly log: ConsumerLog
  /** Returns the delay before the next attempt in milliseconds. */
  readonly delayAfter: (message: PulledMessage) => number
  /** Called after a message was answered. */
  readonly onAnswered: () => void
}

interface Failure {
  readonly reason: string
  readonly cause: string
}

/**
 * Stores the dead letters of a consumer while its other messages are processed. A message is terminated when its dead letter is
 * stored; until then it waits without an answer, so it is not lost. At the limits, further messages are redelivered later. Their
 * reasons are remembered, so that a redelivered message is not processed again. A message beyond the quota of its organization is
 * terminated without a dead letter.
 */
export class DeadLetterQueue {
  readonly #parts: DeadLetterQueueParts
  readonly #producer: Producer
  readonly #budget: ByteBudget
  readonly #waiting = new Map<string, PulledMessage>()
  /** Why messages failed that have no dead letter yet, oldest first. */
  readonly #failures = new Map<string, Failure>()
  #limitLogged = false

  constructor(parts: DeadLetterQueueParts) {
    this.#parts = parts
    this.#producer = createProducer(parts.options.client)
    this.#budget = new ByteBudget(parts.limits)
  }

  get isEmpty(): boolean {
    return this.#budget.isEmpty
  }

  /** The messages that wait for their dead letters. */
  get waiting(): Iterable<PulledMessage> {
    return this.#waiting.values()
  }

  add(message: PulledMessage, { reason, cause = 'internal', organizationId }: MessageFailure): void {
    const { limits, options } = this.#parts
    // A replayed message had a dead letter before, which must not be lost.
    const isReplay = message.header(REPLAY_HEADERS.of) !== undefined
    if (!isReplay && options.deadLetterQuota?.admit(organizationId, cause) === false) {
      message.term()
      natsMetrics.consumed.inc({ durable: options.durable, outcome: 'dropped' })
      return
    }
    const failure = { reason: shortened(reason), cause }
    this.#failures.set(keyOf(message), failure)
    evictOldest(this.#failures, 2 * limits.items)
    this.#store(message, failure)
  }

  /** Takes a redelivered message that failed before; returns false if it did not, or if this is not remembered. */
  resume(message: PulledMessage): boolean {
    // Hot path: usually no message waits.
    if (this.#failures.size === 0) return false
    const key = keyOf(message)
    // The answer to an earlier delivery of a message also answers this one.
    if (this.#waiting.has(key)) return true
    const failure = this.#failures.get(key)
    if (failure !== undefined) this.#store(message, failure)
    return failure !== undefined
  }

  /** Redelivers the waiting messages later. */
  close(): void {
    this.#producer.close()
  }

  #store(message: PulledMessage, failure: Failure): void {
    if (!this.#budget.fits(message.bytes)) return this.#redeliver(message)
    this.#waiting.set(keyOf(message), message)
    this.#budget.add(message.bytes)
    void this.#publish(message, failure)
  }

  #redeliver(message: PulledMessage): void {
    const { delayAfter, limits, log } = this.#parts
    message.nak(delayAfter(message))
    const text = `${limits.items} messages or ${limits.bytes} bytes wait for their dead letters; redelivering further ones`
    if (!this.#limitLogged) log.warn(message, text)
    this.#limitLogged = true
  }

  async #publish(message: PulledMessage, failure: Failure): Promise<void> {
    const { delayAfter, log, onAnswered, options } = this.#parts
    try {
      await publishDeadLetter(this.#producer, options, message, failure)
      message.term()
      this.#failures.delete(keyOf(message))
      this.#limitLogged = false
      natsMetrics.consumed.inc({ durable: options.durable, outcome: 'dead_letter' })
      log.warn(message, `dead letter: ${failure.reason}`)
    } catch (error) {
      message.nak(delayAfter(message))
      log.warnPerTurn(message, `cannot store the dead letter; the message will be redelivered: ${messageOf(error)}`)
    }
    this.#waiting.delete(keyOf(message))
    this.#budget.remove(message.bytes)
    onAnswered()
  }
}

/** Identifies a message in all its deliveries; sequences restart when the stream is recreated. */
function keyOf({ streamSequence, storedAtMs }: PulledMessage): string {
  return `${streamSequence}:${storedAtMs}`
}
