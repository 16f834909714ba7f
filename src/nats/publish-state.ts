import type { NatsClient } from './connection.ts'
import { encodeHeaders, withoutExpectation, type Publication, type Stored } from './publication.ts'

/**
 * How a publisher stands. `open`: messages go out as they come. `held`: nothing goes out until a time has passed or NATS is
 * back. `probing`: the oldest was sent alone, to see whether messages are stored again. `closed`: over.
 */
export type PublishPhase = 'open' | 'held' | 'probing' | 'closed'

/**
 * What changes that. `stored`: the message was acknowledged. `later`: it cannot be stored now. `out_of_turn`: the one that it
 * has to follow is not the stream's last. `given_up`: it will never be stored. `time_is_up`: the wait is over. `connected`:
 * NATS is back, and what was sent before may be lost.
 */
export type PublishEvent = 'stored' | 'later' | 'out_of_turn' | 'given_up' | 'time_is_up' | 'connected'

/** `wait`: nothing for a while. `probe`: the oldest again, alone. `resend`: all in flight again, in order, then what waits. */
export type PublishAction = 'none' | 'wait' | 'probe' | 'resend'

type Rules = Readonly<Partial<Record<PublishEvent, PublishAction>>>

/** An event of the oldest message in flight, or of none; then of a message behind it. What is not listed changes nothing. */
const OF_OLDEST: Readonly<Record<PublishPhase, Rules>> = {
  open: { later: 'wait', out_of_turn: 'probe', connected: 'resend' },
  held: { stored: 'resend', given_up: 'probe', time_is_up: 'probe', connected: 'resend' },
  // Alone it follows nothing: this answer is to an earlier sending, or not JetStream's.
  probing: { stored: 'resend', later: 'wait', out_of_turn: 'wait', given_up: 'probe', connected: 'resend' },
  closed: {},
}
const OF_ANOTHER: Readonly<Record<PublishPhase, Rules>> = {
  open: { later: 'wait', out_of_turn: 'probe' },
  held: {},
  probing: {},
  closed: {},
}

const PHASE_AFTER = { wait: 'held', probe: 'probing', resend: 'open' } as const satisfies Record<
  Exclude<PublishAction, 'none'>,
  PublishPhase
>

/** What to do at an event, and how the publisher stands after that. */
export function onPublishEvent(
  phase: PublishPhase,
  event: PublishEvent,
  isOldest: boolean,
): { readonly action: PublishAction; readonly phase: PublishPhase } {
  const action = (isOldest ? OF_OLDEST : OF_ANOTHER)[phase][event] ?? 'none'
  return { action, phase: action === 'none' ? phase : PHASE_AFTER[action] }
}

/** One message between the call that published it and its acknowledgement. */
export class PublishSlot {
  readonly publication: Publication
  /** Place in the order of the calls. */
  readonly number: number
  /** The message that this one has to be stored right behind, as long as that one is in flight. */
  readonly follows: Predecessor | undefined
  /** `performance.now()` of the last sending. */
  sentAt = 0
  settled = false
  readonly #headers: Buffer
  readonly stored: Promise<Stored>
  #resolve: (stored: Stored) => void = () => {}
  #reject: (reason: unknown) => void = () => {}
  #offAbort: (() => void) | undefined

  /** Throws a PublishError for what cannot be sent. */
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

  /** As they are sent, with the expectation of what it follows or without. */
  headers(isExpectant: boolean): Buffer {
    if (isExpectant || this.follows === undefined) return this.#headers
    return withoutExpectation(this.#headers, this.follows.messageId)
  }

  /** Calls `listener` when the signal aborts before the slot is settled. */
  onAbort(signal: AbortSignal, listener: () => void): void {
    signal.addEventListener('abort', listener, { once: true })
    this.#offAbort = () => signal.removeEventListener('abort', listener)
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
    this.#offAbort?.()
  }
}

/** Messages that were sent and not acknowledged yet, in the order of the calls. */
export class InFlight implements Iterable<PublishSlot> {
  readonly #slots = new Map<number, PublishSlot>()
  #bytes = 0

  get size(): number {
    return this.#slots.size
  }

  /** Of all bodies. */
  get bytes(): number {
    return this.#bytes
  }

  get oldest(): PublishSlot | undefined {
    for (const slot of this.#slots.values()) return slot
    return undefined
  }

  get(number: number): PublishSlot | undefined {
    return this.#slots.get(number)
  }

  has(number: number): boolean {
    return this.#slots.has(number)
  }

  add(slot: PublishSlot): void {
    this.#slots.set(slot.number, slot)
    this.#bytes += slot.bytes
  }

  remove(slot: PublishSlot): void {
    if (this.#slots.delete(slot.number)) this.#bytes -= slot.bytes
  }

  /** Takes out those behind this place in the order. */
  removeBehind(number: number): readonly PublishSlot[] {
    const behind = [...this.#slots.values()].filter((slot) => slot.number > number)
    for (const slot of behind) this.remove(slot)
    return behind
  }

  [Symbol.iterator](): Iterator<PublishSlot> {
    return this.#slots.values()
  }
}

/** A message that another one has to follow. */
export interface Predecessor {
  /** Its place in the order of the calls. */
  readonly number: number
  readonly messageId: string
}

/** Finding the stream of a subject anew for each message costs more than all else here. */
const MOST_SUBJECTS = 1000

/**
 * Which message each one has to follow in its stream. A stream that refuses a message for now may have room for the one behind
 * it; with `Nats-Expected-Last-Msg-Id` it takes that one only when the one before was stored, and right before it. A message
 * goes without as soon as the one before is acknowledged, for then all before it are stored, and a message of somebody else in
 * the stream never bars the way for good. JetStream looks for duplicates before it looks at this, so what is sent again does
 * no harm.
 */
export class PublishChain {
  readonly #streamOf: (subject: string) => string
  readonly #streams = new Map<string, string>()
  readonly #newest = new Map<string, Predecessor>()

  /** Subjects for which `streamOf` says the same are stored in one order, whether they are of one stream or not. */
  constructor(streamOf: (subject: string) => string) {
    this.#streamOf = streamOf
  }

  /** Puts a message behind those before it. Returns the one right before it; undefined if it is the first. */
  add(subject: string, message: Predecessor): Predecessor | undefined {
    const stream = this.#streamFor(subject)
    const before = this.#newest.get(stream)
    this.#newest.set(stream, message)
    return before
  }

  #streamFor(subject: string): string {
    let stream = this.#streams.get(subject)
    if (stream !== undefined) return stream
    stream = this.#streamOf(subject)
    if (this.#streams.size >= MOST_SUBJECTS) this.#streams.clear()
    this.#streams.set(subject, stream)
    return stream
  }
}

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
