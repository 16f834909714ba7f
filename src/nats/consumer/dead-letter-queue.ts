import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BudgetLimits } from '../../domain/byte-budget.ts'
import { messageOf, PublishError } from '../../domain/errors.ts'
import { evictOldest } from '../../domain/fifo.ts'
import { SharedBudget } from '../../domain/shared-budget.ts'
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
  /** The time without a stored dead letter after which those that cannot wait are dropped. */
  readonly stallMs: number
  readonly log: ConsumerLog
  /** Returns the delay after an attempt, from 1, in milliseconds. */
  readonly delayAfter: (attempt: number) => number
  /** Called after a message was answered. */
  readonly onAnswered: () => void
}

interface Failure {
  readonly reason: string
  readonly cause: string
  readonly organizationId: string | undefined
}

/**
 * Stores the dead letters of a consumer while its other messages are processed. A message is terminated when its dead letter is
 * stored; until then it waits without an answer. Organizations share the limits (see SharedBudget). Beyond that, messages are
 * redelivered later; their failures are remembered, so that they are not processed again. JetStream counts also these as
 * unacknowledged and would stop the consumer, so while no dead letter is stored they are dropped, like those beyond the quota of their
 * organization: terminated and counted.
 */
export class DeadLetterQueue {
  readonly #parts: DeadLetterQueueParts
  readonly #producer: Producer
  readonly #closing = new AbortController()
  /** What waits, by organization. */
  readonly #budget: SharedBudget<string | undefined>
  readonly #waiting = new Map<string, PulledMessage>()
  /** Why messages failed that have no dead letter yet, oldest first. */
  readonly #failures = new Map<string, Failure>()
  /** When a dead letter was stored, or the first one began to wait. */
  #progressAt = 0
  #limitLogged = false
  /** The number of dead letters dropped since the last one was stored. */
  #dropped = 0

  constructor(parts: DeadLetterQueueParts) {
    this.#parts = parts
    this.#producer = createProducer(parts.options.client)
    this.#budget = new SharedBudget(parts.limits)
    setMaxListeners(0, this.#closing.signal)
  }

  get isEmpty(): boolean {
    return this.#budget.isEmpty
  }

  /** The messages that wait for their dead letters. */
  get waiting(): Iterable<PulledMessage> {
    return this.#waiting.values()
  }

  add(message: PulledMessage, { reason, cause = 'internal', organizationId }: MessageFailure): void {
    const { deadLetterQuota } = this.#parts.options
    if (!isReplay(message) && deadLetterQuota?.admit(organizationId, cause) === false) return this.#terminate(message)
    const failure = { reason: shortened(reason), cause, organizationId }
    this.#failures.set(keyOf(message), failure)
    evictOldest(this.#failures, 2 * this.#parts.limits.items)
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

  /** Redelivers the waiting messages. */
  close(): void {
    this.#closing.abort()
    this.#producer.close()
  }

  #store(message: PulledMessage, failure: Failure): void {
    if (this.#budget.fits(failure.organizationId, message.bytes)) void this.#wait(message, failure)
    else if (this.#isStalled() && !isReplay(message)) this.#drop(message, failure)
    else this.#redeliver(message)
  }

  #isStalled(): boolean {
    return performance.now() - this.#progressAt >= this.#parts.stallMs
  }

  #redeliver(message: PulledMessage): void {
    const { delayAfter, log } = this.#parts
    message.nak(delayAfter(message.attempt))
    if (!this.#limitLogged)
      log.warn(message, 'too many messages wait for their dead letters; redelivering further ones')
    this.#limitLogged = true
  }

  #drop(message: PulledMessage, { cause }: Failure): void {
    natsMetrics.deadLetters.inc({ cause, outcome: 'dropped' })
    this.#failures.delete(keyOf(message))
    this.#terminate(message)
    if (this.#dropped === 0) {
      const text = `no dead letter was stored for ${this.#parts.stallMs / 1000} s; dropping those that cannot wait`
      this.#parts.log.warn(message, text)
    }
    this.#dropped += 1
  }

  /** Ends a message without a dead letter. */
  #terminate(message: PulledMessage): void {
    message.term()
    natsMetrics.consumed.inc({ durable: this.#parts.options.durable, outcome: 'dropped' })
  }

  async #wait(message: PulledMessage, failure: Failure): Promise<void> {
    if (this.isEmpty) this.#progressAt = performance.now()
    this.#waiting.set(keyOf(message), message)
    this.#budget.add(failure.organizationId, message.bytes)
    try {
      await this.#publish(message, failure)
      message.term()
      this.#failures.delete(keyOf(message))
      this.#onStored(message, failure)
    } catch {
      message.nak()
    }
    this.#waiting.delete(keyOf(message))
    this.#budget.remove(failure.organizationId, message.bytes)
    // Redelivered messages still wait for their dead letters.
    if (this.#failures.size === 0) this.#limitLogged = false
    this.#parts.onAnswered()
  }

  /** Retries until the dead letter is stored. Rejects when the queue or the connection is closed. */
  async #publish(message: PulledMessage, failure: Failure): Promise<void> {
    const { delayAfter, log, options } = this.#parts
    for (let attempt = 1; ; attempt++) {
      try {
        return await publishDeadLetter(this.#producer, options, message, failure)
      } catch (error) {
        if (error instanceof PublishError && error.code === 'closed') throw error
        log.warnPerTurn(message, `cannot store the dead letter; retrying: ${messageOf(error)}`)
      }
      await sleep(delayAfter(attempt), undefined, { signal: this.#closing.signal })
    }
  }

  #onStored(message: PulledMessage, { reason }: Failure): void {
    const { log, options } = this.#parts
    natsMetrics.consumed.inc({ durable: options.durable, outcome: 'dead_letter' })
    log.warn(message, `dead letter: ${reason}`)
    const { durable, stream } = options
    if (this.#dropped > 0)
      options.client.logger.info({ stream, durable, dropped: this.#dropped }, 'dead letters are stored again')
    this.#progressAt = performance.now()
    this.#dropped = 0
  }
}

function isReplay(message: PulledMessage): boolean {
  return message.header(REPLAY_HEADERS.of) !== undefined
}

/** Identifies a message in all its deliveries; sequences restart when the stream is recreated. */
function keyOf({ streamSequence, storedAtMs }: PulledMessage): string {
  return `${streamSequence}:${storedAtMs}`
}
