import { ByteBudget, type BudgetLimits } from '../../domain/byte-budget.ts'
import { messageOf } from '../../domain/errors.ts'
import { evictOldest } from '../../domain/fifo.ts'
import type { ConsumerLog } from './consumer-log.ts'
import type { ConsumerOptions } from './consumer-options.ts'
import { publishDeadLetter, shortened } from '../dead-letters.ts'
import type { PulledMessage } from '../delivery.ts'
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

/**
 * Stores the dead letters of a consumer while its other messages are processed. A message is terminated when its dead letter is
 * stored; until then it waits without an answer, so it is not lost. At the limits, further messages are redelivered later. Their
 * reasons are remembered, so that a redelivered message is not processed again.
 */
export class DeadLetterQueue {
  readonly #parts: DeadLetterQueueParts
  readonly #producer: Producer
  readonly #budget: ByteBudget
  readonly #waiting = new Map<string, PulledMessage>()
  /** The reasons of messages that have no dead letter yet, oldest first. */
  readonly #reasons = new Map<string, string>()
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

  add(message: PulledMessage, reason: string): void {
    this.#reasons.set(keyOf(message), shortened(reason))
    evictOldest(this.#reasons, 2 * this.#parts.limits.items)
    this.#store(message, reason)
  }

  /** Takes a redelivered message that failed before; returns false if it did not, or if this is not remembered. */
  resume(message: PulledMessage): boolean {
    // Hot path: usually no message waits.
    if (this.#reasons.size === 0) return false
    const key = keyOf(message)
    // The answer to an earlier delivery of a message also answers this one.
    if (this.#waiting.has(key)) return true
    const reason = this.#reasons.get(key)
    if (reason !== undefined) this.#store(message, reason)
    return reason !== undefined
  }

  /** Redelivers the waiting messages later. */
  close(): void {
    this.#producer.close()
  }

  #store(message: PulledMessage, reason: string): void {
    if (!this.#budget.fits(message.bytes)) return this.#redeliver(message)
    this.#waiting.set(keyOf(message), message)
    this.#budget.add(message.bytes)
    void this.#publish(message, reason)
  }

  #redeliver(message: PulledMessage): void {
    const { delayAfter, limits, log } = this.#parts
    message.nak(delayAfter(message))
    const text = `${limits.items} messages or ${limits.bytes} bytes wait for their dead letters; redelivering further ones`
    if (!this.#limitLogged) log.warn(message, text)
    this.#limitLogged = true
  }

  async #publish(message: PulledMessage, reason: string): Promise<void> {
    const { delayAfter, log, onAnswered, options } = this.#parts
    try {
      await publishDeadLetter(this.#producer, options, message, reason)
      message.term()
      this.#reasons.delete(keyOf(message))
      this.#limitLogged = false
      natsMetrics.consumed.inc({ durable: options.durable, outcome: 'dead_letter' })
      log.warn(message, `dead letter: ${reason}`)
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
