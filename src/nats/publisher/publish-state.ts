import { ByteBudget, type BudgetLimits } from '../../domain/byte-budget.ts'
import type { Logger } from '../../runner/logger.ts'
import { encodeHeaders, withoutExpectation, type Publication, type Stored } from './publication.ts'

/**
 * Phase of a publisher. `open`: messages are sent immediately. `backingOff`: nothing is sent until a delay has passed or NATS
 * reconnects. `probing`: the oldest message was sent alone, to test whether messages are stored again. `closed`: final.
 */
export type PublishPhase = 'open' | 'backingOff' | 'probing' | 'closed'

/**
 * `stored`: the message was acknowledged. `later`: it cannot be stored now. `out_of_order`: its predecessor is not the last
 * message of the stream. `failed`: it will never be stored. `delay_over`: the backoff delay has passed. `connected`: NATS
 * reconnected, and earlier messages may be lost.
 */
export type PublishEvent = 'stored' | 'later' | 'out_of_order' | 'failed' | 'delay_over' | 'connected'

/** `back_off`: send nothing for a delay. `probe`: resend the oldest alone. `resend`: resend all in flight, then the queue. */
export type PublishAction = 'none' | 'back_off' | 'probe' | 'resend'

type Rules = Readonly<Partial<Record<PublishEvent, PublishAction>>>

/** Events of the oldest message in flight, or of no message; events that are not listed have no effect. */
const RULES_OF_OLDEST: Readonly<Record<PublishPhase, Rules>> = {
  open: { later: 'back_off', out_of_order: 'probe', connected: 'resend' },
  backingOff: { stored: 'resend', failed: 'probe', delay_over: 'probe', connected: 'resend' },
  // A probe follows no message, so `out_of_order` answers an earlier send or does not come from JetStream.
  probing: { stored: 'resend', later: 'back_off', out_of_order: 'back_off', failed: 'probe', connected: 'resend' },
  closed: {},
}
/** Events of any other message in flight; they matter only in the phase `open`. */
const RULES_OF_OTHERS: Rules = { later: 'back_off', out_of_order: 'probe' }

const PHASE_AFTER = { back_off: 'backingOff', probe: 'probing', resend: 'open' } as const

export function onPublishEvent(
  phase: PublishPhase,
  event: PublishEvent,
  isOldest: boolean,
): { readonly action: PublishAction; readonly phase: PublishPhase } {
  const rules = isOldest ? RULES_OF_OLDEST[phase] : phase === 'open' ? RULES_OF_OTHERS : {}
  const action = rules[event] ?? 'none'
  return { action, phase: action === 'none' ? phase : PHASE_AFTER[action] }
}

interface Predecessor {
  readonly number: number
  readonly messageId: string
}

/** One message from the call of `publish` to its acknowledgement. */
export class PendingPublish {
  readonly publication: Publication
  readonly number: number
  /** While this predecessor is in flight, the stream must store the message directly after it. */
  readonly follows: Predecessor | undefined
  readonly stored: Promise<Stored>
  /** `performance.now()` of the last send. */
  sentAt = 0
  settled = false
  readonly #headers: Buffer
  #resolve: (stored: Stored) => void = () => {}
  #reject: (reason: unknown) => void = () => {}
  #onSettled: (() => void) | undefined

  /** Creates a pending publication. Throws a PublishError for a message that cannot be sent. */
  constructor(publication: Publication, number: number, follows?: Predecessor) {
    this.publication = publication
    this.#headers = encodeHeaders(publication, follows?.messageId)
    this.follows = follows
    this.number = number
    this.stored = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  get bytes(): number {
    return this.publication.body.length
  }

  /** The size with the headers and the expectation of its predecessor. */
  get expectantBytes(): number {
    return this.bytes + this.#headers.length
  }

  /** Returns the encoded headers, with or without the expectation of its predecessor. */
  headers(isExpectant: boolean): Buffer {
    if (isExpectant || this.follows === undefined) return this.#headers
    return withoutExpectation(this.#headers, this.follows.messageId)
  }

  /** Returns why the message may not be sent any more; undefined if it may. */
  sendingError(): unknown {
    try {
      return this.publication.assertSendable?.()
    } catch (error) {
      return error
    }
  }

  /** Calls `listener` when the message is stored or rejected. */
  onSettled(listener: () => void): void {
    this.#onSettled = listener
  }

  resolve(stored: Stored): void {
    this.#settle()
    this.#resolve(stored)
  }

  reject(reason: unknown): void {
    this.#settle()
    this.#reject(reason)
  }

  #settle(): void {
    this.settled = true
    this.#onSettled?.()
  }
}

/** Messages sent and not acknowledged, by number, in the order of the calls. */
export class InFlight extends Map<number, PendingPublish> {
  readonly #budget: ByteBudget

  /** The bytes of `limits` are those of the bodies. */
  constructor(limits: BudgetLimits) {
    super()
    this.#budget = new ByteBudget(limits)
  }

  get oldest(): PendingPublish | undefined {
    for (const message of this.values()) return message
    return undefined
  }

  fits(message: PendingPublish): boolean {
    return this.#budget.fits(message.bytes)
  }

  add(message: PendingPublish): void {
    this.set(message.number, message)
    this.#budget.add(message.bytes)
  }

  remove(message: PendingPublish): void {
    if (this.delete(message.number)) this.#budget.remove(message.bytes)
  }

  /** Returns whether the stream must store the message directly after one that is not acknowledged. */
  hasPredecessorOf({ follows }: PendingPublish): boolean {
    return follows !== undefined && this.has(follows.number)
  }

  removeAfter(number: number): readonly PendingPublish[] {
    const later = [...this.values()].filter((message) => message.number > number)
    for (const message of later) this.remove(message)
    return later
  }
}

/**
 * Records the predecessor of each message in its stream. A stream that rejects a message temporarily can have space for a
 * smaller message after it; the header `Nats-Expected-Last-Msg-Id` makes it store a message only directly after its predecessor.
 * The header is omitted once the predecessor is acknowledged: then all earlier messages are stored, and messages of other
 * publishers in between cannot block the stream. JetStream checks for duplicates first, so a resend is harmless.
 */
export class PublishChain {
  readonly #findStream: (subject: string) => string
  readonly #last = new Map<string, Predecessor>()

  /** Creates a chain. Subjects with the same result of `findStream` are stored in one order. */
  constructor(findStream: (subject: string) => string) {
    this.#findStream = findStream
  }

  add(subject: string, message: Predecessor): Predecessor | undefined {
    const stream = this.#findStream(subject)
    const predecessor = this.#last.get(stream)
    this.#last.set(stream, message)
    return predecessor
  }
}

/** Calls `check` every quarter of the time limit of acknowledgements, with one timer for all messages. */
export class AckDeadline {
  readonly timeoutMs: number
  readonly #check: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(timeoutMs: number, check: () => void) {
    this.timeoutMs = timeoutMs
    this.#check = check
  }

  /** Plans the next check, unless it is planned. */
  watch(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#check()
    }, this.timeoutMs / 4)
  }

  /** Cancels the next check. */
  cancel(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}

const FIRST_DELAY_MS = 100
const MAX_DELAY_MS = 5000

/** Exponential backoff while JetStream does not store; logs the begin with its reason and the end, once each. */
export class RetryBackoff {
  readonly #logger: Logger
  #delayMs = FIRST_DELAY_MS
  #timer: NodeJS.Timeout | undefined
  #logged = false

  constructor(logger: Logger) {
    this.#logger = logger
  }

  logOnce({ publication: { subject } }: PendingPublish, inFlight: number, reason: string): void {
    if (!this.#logged)
      this.#logger.warn({ subject, in_flight: inFlight }, `JetStream does not store: ${reason}; retrying`)
    this.#logged = true
  }

  /** Calls `onEnd` after the next delay unless it is cancelled. */
  start(onEnd: () => void): void {
    this.cancel()
    this.#timer = setTimeout(onEnd, this.#delayMs)
    this.#delayMs = Math.min(this.#delayMs * 2, MAX_DELAY_MS)
  }

  /** Cancels the delay; the next delay is still longer. */
  cancel(): void {
    clearTimeout(this.#timer)
  }

  /** Cancels the delay and resets the backoff to the shortest delay. */
  reset(): void {
    this.cancel()
    this.#delayMs = FIRST_DELAY_MS
    if (this.#logged) this.#logger.info('JetStream stores messages again')
    this.#logged = false
  }
}
