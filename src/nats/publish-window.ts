import { createInbox } from '@nats-io/nats-core'
import type { Msg, Subscription } from '@nats-io/nats-core'
import { oneLine } from '../runner/startup.ts'
import type { NatsClient } from './connection.ts'
import { Fifo } from './fifo.ts'
import { natsMetrics } from './metrics.ts'
import { PublishError, readReply, WrittenHeaders } from './publication.ts'
import type { Publication, Stored } from './publication.ts'
import { PublishSlot } from './publish-slot.ts'
import { restoreStreamOf } from './streams.ts'

export interface WindowOptions {
  /** Messages in flight at most. */
  readonly maxInFlight: number
  /** Bytes of bodies in flight at most; a single message that is larger goes alone. */
  readonly maxInFlightBytes: number
  /** How long the oldest message may be without an acknowledgement before it is sent again. */
  readonly ackTimeoutMs: number
  /** After a message that was given up: `stop` rejects all that come after it, `skip` goes on with them. */
  readonly afterFailure: 'stop' | 'skip'
}

/**
 * `open`: messages go out as they come. `held`: nothing goes out until a time has passed or NATS is back. `probing`: the
 * oldest was sent alone, to see whether messages are stored again. `closed`: over, `#closedBecause` says why.
 */
type Phase = 'open' | 'held' | 'probing' | 'closed'

/** Messages that go out with one write while at least so many are in flight. */
const TOGETHER = 64
const FIRST_DELAY_MS = 100
const LAST_DELAY_MS = 5000

/**
 * Publishes to JetStream with a window of messages in flight, in the order of the calls. One subscription takes all
 * acknowledgements; each message's reply subject ends in its number. When an acknowledgement says no for now or stays out,
 * nothing new is sent; the oldest unacknowledged message is tried alone, and when it is stored all others follow in order.
 * When the connection comes back all are sent again in order. The message ids make both harmless, and because every sending
 * starts at the oldest, what was never stored before is stored in order.
 */
export class PublishWindow {
  readonly #client: NatsClient
  readonly #options: WindowOptions
  /** A full window is filled up again when a quarter is free. */
  readonly #refillAt: number
  readonly #inbox = `${createInbox()}.`
  readonly #subscription: Subscription
  readonly #offLink: () => void
  readonly #headers = new WrittenHeaders()
  readonly #waiting = new Fifo<PublishSlot>()
  readonly #inFlight = new Map<number, PublishSlot>()
  readonly #idleListeners: (() => void)[] = []
  #bytesInFlight = 0
  #nextNumber = 0
  #phase: Phase = 'open'
  #closedBecause: PublishError | undefined
  #delayMs = FIRST_DELAY_MS
  #holdTimer: NodeJS.Timeout | undefined
  #deadlineTimer: NodeJS.Timeout | undefined
  #troubleTold = false

  constructor(client: NatsClient, options: WindowOptions) {
    this.#client = client
    this.#options = options
    this.#refillAt = Math.floor(options.maxInFlight * 0.75)
    this.#subscription = client.connection.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => (error ? this.#onDenied(error) : this.#onReply(message)),
    })
    this.#offLink = client.link.onChange((connected) => {
      if (connected) this.#open()
    })
    void client.connection.closed().then(() => this.#shut('the connection to NATS is closed'))
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  /** Resolves when the message is stored; rejects with a PublishError, or with the signal's reason. */
  publish(publication: Publication, signal?: AbortSignal): Promise<Stored> {
    try {
      if (this.#closedBecause !== undefined) throw this.#closedBecause
      signal?.throwIfAborted()
      const slot = this.#slotFor(publication)
      if (signal !== undefined) slot.onAbort(signal, () => this.#giveUp(slot, signal.reason))
      this.#waiting.push(slot)
      if (this.#isWorthWhile()) this.#pump()
      return slot.stored
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Resolves when nothing is in flight or waiting. */
  flush(): Promise<void> {
    if (this.#inFlight.size === 0 && this.#waiting.length === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idleListeners.push(resolve))
  }

  /** Rejects what is not stored yet. */
  close(): void {
    this.#shut('the publisher is closed')
  }

  #slotFor(publication: Publication): PublishSlot {
    const number = this.#nextNumber++
    try {
      const slot = new PublishSlot(publication, number)
      this.#refuseTooLarge(slot)
      return slot
    } catch (error) {
      if (error instanceof PublishError) this.#countFailure(number, error)
      throw error
    }
  }

  /**
   * A write costs more than a message. While many are in flight, which all come back, those that follow wait for each other;
   * with few in flight each one goes at once.
   */
  #isWorthWhile(): boolean {
    const inFlight = this.#inFlight.size
    return inFlight < TOGETHER || (inFlight <= this.#refillAt && this.#waiting.length >= TOGETHER)
  }

  #pump(): void {
    const { maxInFlight, maxInFlightBytes } = this.#options
    while (this.#phase === 'open' && this.#client.link.connected) {
      const slot = this.#waiting.peek()
      if (slot === undefined) return
      const full =
        this.#inFlight.size >= maxInFlight ||
        (this.#inFlight.size > 0 && this.#bytesInFlight + slot.bytes > maxInFlightBytes)
      if (full && !slot.settled) return
      this.#waiting.shift()
      if (slot.settled) continue
      this.#inFlight.set(slot.number, slot)
      this.#bytesInFlight += slot.bytes
      this.#send(slot)
    }
  }

  #send(slot: PublishSlot): void {
    slot.sentAt = performance.now()
    this.#watchDeadline()
    try {
      const { subject, body } = slot.publication
      this.#headers.block = slot.headers
      this.#client.connection.publish(subject, body, { reply: this.#inbox + slot.number, headers: this.#headers })
    } catch (error) {
      const { connection } = this.#client
      if (connection.isClosed() || connection.isDraining()) return this.#shut('the connection to NATS is closing')
      this.#fail(slot, new PublishError('too_large', `cannot send to ${slot.publication.subject}: ${oneLine(error)}`))
    }
  }

  #onReply(message: Msg): void {
    const slot = this.#inFlight.get(Number(message.subject.slice(this.#inbox.length)))
    if (slot === undefined) return
    const reply = readReply(message, slot.publication.subject)
    switch (reply.kind) {
      case 'stored':
        return this.#settle(slot, reply.stored)
      case 'never':
        return this.#fail(slot, reply.error)
      case 'later':
        return this.#hold(reply.reason, slot)
      case 'no_responders':
        return void this.#onNoResponders(slot)
    }
  }

  #settle(slot: PublishSlot, stored: Stored): void {
    natsMetrics.published.inc()
    if (stored.duplicate) natsMetrics.duplicates.inc()
    const wasOldest = this.#oldest() === slot
    this.#remove(slot)
    slot.resolve(stored)
    if (this.#phase !== 'open') {
      if (wasOldest) this.#open()
    } else if (this.#isWorthWhile()) this.#pump()
    this.#checkIdle()
  }

  /** Everything in flight again, in order, and then what waits. */
  #open(): void {
    if (this.#phase === 'closed') return
    clearTimeout(this.#holdTimer)
    this.#phase = 'open'
    this.#delayMs = FIRST_DELAY_MS
    if (this.#troubleTold) this.#client.logger.info('JetStream stores messages again')
    this.#troubleTold = false
    for (const slot of this.#inFlight.values()) {
      if (this.#phase !== 'open' || !this.#client.link.connected) return
      natsMetrics.resent.inc()
      this.#send(slot)
    }
    this.#pump()
  }

  /** Stops sending for a while, longer each time, and then probes. */
  #hold(reason: string, slot: PublishSlot): void {
    if (this.#phase === 'held' || this.#phase === 'closed') return
    if (this.#phase === 'probing' && slot !== this.#oldest()) return
    this.#phase = 'held'
    if (!this.#troubleTold) {
      const { subject } = slot.publication
      this.#client.logger.warn(
        { subject, in_flight: this.#inFlight.size },
        `JetStream does not store: ${reason}; trying on`,
      )
    }
    this.#troubleTold = true
    this.#holdTimer = setTimeout(() => this.#probe(), this.#delayMs)
    this.#delayMs = Math.min(this.#delayMs * 2, LAST_DELAY_MS)
  }

  #probe(): void {
    const oldest = this.#oldest()
    clearTimeout(this.#holdTimer)
    if (oldest === undefined) return this.#open()
    if (!this.#client.link.connected) return
    this.#phase = 'probing'
    natsMetrics.resent.inc()
    this.#send(oldest)
  }

  /** No stream takes the subject, or JetStream is not up: only its API can tell. */
  async #onNoResponders(slot: PublishSlot): Promise<void> {
    const heldAlready = this.#phase === 'held'
    this.#hold('no stream took the message', slot)
    if (heldAlready || (await this.#restoreStream(slot))) return
    const { subject } = slot.publication
    this.#fail(slot, new PublishError('no_stream', `no stream takes the subject ${subject}`))
  }

  /** Makes a deleted stream again; says false when it is sure that no stream takes the message. */
  async #restoreStream({ publication: { subject } }: PublishSlot): Promise<boolean> {
    try {
      return await restoreStreamOf(this.#client, subject)
    } catch (error) {
      this.#client.logger.debug({ subject }, `cannot tell whether a stream takes the subject: ${oneLine(error)}`)
      return true
    }
  }

  #onDenied(error: Error): void {
    this.#client.logger.error(`NATS refuses the subscription for acknowledgements: ${oneLine(error)}`)
    this.#shut('NATS refuses the subscription for acknowledgements')
  }

  #refuseTooLarge({ bytes, publication }: PublishSlot): void {
    const limit = this.#client.connection.info?.max_payload
    if (limit === undefined || bytes <= limit) return
    throw new PublishError('too_large', `${bytes} bytes for ${publication.subject}; NATS takes ${limit} (max_payload)`)
  }

  #fail(slot: PublishSlot, error: PublishError): void {
    if (slot.settled) return
    this.#countFailure(slot.number, error)
    this.#giveUp(slot, error)
  }

  #countFailure(number: number, error: PublishError): void {
    natsMetrics.publishFailures.inc({ code: error.code })
    if (this.#options.afterFailure === 'skip') return
    const reason = `an earlier message was given up: ${error.message}`
    this.#closedBecause ??= new PublishError('superseded', reason, { cause: error })
    const later = [...this.#inFlight.values()].filter((slot) => slot.number > number)
    for (const slot of later) this.#remove(slot)
    for (const slot of [...later, ...this.#waiting.drain()]) if (!slot.settled) slot.reject(this.#closedBecause)
  }

  #giveUp(slot: PublishSlot, reason: unknown): void {
    const wasOldest = this.#oldest() === slot
    this.#remove(slot)
    slot.reject(reason)
    if (this.#phase === 'open') this.#pump()
    else if (wasOldest) this.#probe()
    this.#checkIdle()
  }

  #remove(slot: PublishSlot): void {
    if (this.#inFlight.delete(slot.number)) this.#bytesInFlight -= slot.bytes
  }

  #oldest(): PublishSlot | undefined {
    for (const slot of this.#inFlight.values()) return slot
    return undefined
  }

  #watchDeadline(): void {
    this.#deadlineTimer ??= setTimeout(() => {
      this.#deadlineTimer = undefined
      this.#checkDeadline()
    }, this.#options.ackTimeoutMs / 4)
  }

  #checkDeadline(): void {
    const oldest = this.#oldest()
    if (oldest === undefined || this.#phase === 'closed') return
    this.#watchDeadline()
    const { ackTimeoutMs } = this.#options
    if (this.#phase === 'held' || !this.#client.link.connected) return
    if (performance.now() - oldest.sentAt < ackTimeoutMs) return
    this.#hold(`no acknowledgement for ${ackTimeoutMs / 1000} s`, oldest)
    void this.#restoreStream(oldest)
  }

  #checkIdle(): void {
    if (this.#inFlight.size > 0 || this.#waiting.length > 0) return
    clearTimeout(this.#deadlineTimer)
    this.#deadlineTimer = undefined
    for (const listener of this.#idleListeners.splice(0)) listener()
  }

  #shut(message: string): void {
    this.#close(new PublishError('closed', message))
  }

  #close(because: PublishError): void {
    if (this.#phase === 'closed') return
    this.#phase = 'closed'
    this.#closedBecause ??= because
    clearTimeout(this.#holdTimer)
    this.#offLink()
    if (!this.#client.connection.isClosed()) this.#subscription.unsubscribe()
    const left = [...this.#inFlight.values(), ...this.#waiting.drain()]
    this.#inFlight.clear()
    for (const slot of left) if (!slot.settled) slot.reject(because)
    this.#checkIdle()
  }
}
