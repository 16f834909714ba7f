import { createInbox, type Msg, type Subscription } from '@nats-io/nats-core'
import { PublishError, messageOf } from '../domain/errors.ts'
import { Fifo } from '../domain/fifo.ts'
import type { NatsClient } from './connection.ts'
import { natsMetrics } from './metrics.ts'
import { readReply, WrittenHeaders, type Publication, type Stored } from './publication.ts'
import {
  InFlight,
  PublishChain,
  PublishPause,
  onPublishEvent,
  type PublishAction,
  type PublishEvent,
  type PublishPhase,
  PublishSlot,
} from './publish-state.ts'
import { restoreStreamOf, streamFinder } from './streams.ts'

export interface WindowOptions {
  /** Messages in flight at most. */
  readonly maxInFlight: number
  /** Bytes of bodies in flight at most; a single message that is larger goes alone. */
  readonly maxInFlightBytes: number
  /** How long the oldest message may be without an acknowledgement before it is sent again. */
  readonly ackTimeoutMs: number
  /**
   * Each message is stored only behind those before it in its stream, and when one is given up all that come after it reject.
   * Otherwise the others go on without it.
   */
  readonly ordered: boolean
}

/** Messages that go out with one write while at least so many are in flight. */
const TOGETHER = 64

/**
 * Publishes to JetStream with a window of messages in flight, in the order of the calls. One subscription takes all
 * acknowledgements; each message's reply subject ends in its number. When an acknowledgement says no or stays out, the oldest
 * is tried alone, and when it is stored all others follow; when the connection comes back all are sent again. `onPublishEvent`
 * has the rules; the message ids make it harmless, and the {@link PublishChain} keeps a later one from being stored first.
 */
export class PublishWindow {
  readonly #client: NatsClient
  readonly #options: WindowOptions
  /** A full window is filled up again when a quarter is free. */
  readonly #refillAt: number
  readonly #inbox = `${createInbox()}.`
  readonly #subscription: Subscription
  readonly #offLink: () => void
  readonly #pause: PublishPause
  readonly #deadline: AckDeadline
  readonly #headers = new WrittenHeaders()
  readonly #waiting = new Fifo<PublishSlot>()
  readonly #inFlight = new InFlight()
  readonly #chain: PublishChain | undefined
  readonly #idleListeners: (() => void)[] = []
  #nextNumber = 0
  #phase: PublishPhase = 'open'
  #closedBecause: PublishError | undefined

  constructor(client: NatsClient, options: WindowOptions) {
    this.#client = client
    this.#options = options
    this.#pause = new PublishPause(client.logger)
    this.#deadline = new AckDeadline(options.ackTimeoutMs, () => this.#checkDeadline())
    this.#chain = options.ordered ? new PublishChain(streamFinder(client)) : undefined
    this.#refillAt = Math.floor(options.maxInFlight * 0.75)
    this.#subscription = client.connection.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => (error ? this.#onDenied(error) : this.#onReply(message)),
    })
    this.#offLink = client.link.onChange((connected) => {
      if (connected) this.#step('connected', true)
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
      const messageId = publication.messageId.trim()
      const slot = new PublishSlot(publication, number, this.#chain?.add(publication.subject, { number, messageId }))
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
        (this.#inFlight.size > 0 && this.#inFlight.bytes + slot.bytes > maxInFlightBytes)
      if (full && !slot.settled) return
      this.#waiting.shift()
      if (slot.settled) continue
      this.#inFlight.add(slot)
      this.#send(slot)
    }
  }

  #send(slot: PublishSlot): void {
    slot.sentAt = performance.now()
    this.#deadline.watch()
    try {
      const { subject, body } = slot.publication
      this.#headers.block = slot.headers(slot.follows !== undefined && this.#inFlight.has(slot.follows.number))
      this.#client.connection.publish(subject, body, { reply: this.#inbox + slot.number, headers: this.#headers })
    } catch (error) {
      const { connection } = this.#client
      if (connection.isClosed() || connection.isDraining()) return this.#shut('the connection to NATS is closing')
      this.#fail(slot, new PublishError('too_large', `cannot send to ${slot.publication.subject}: ${messageOf(error)}`))
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
        return this.#onNotStored('later', slot, reply.reason)
      case 'out_of_turn':
        return this.#onNotStored('out_of_turn', slot, 'another message came in between')
      case 'no_responders':
        return void this.#onNoResponders(slot)
    }
  }

  #settle(slot: PublishSlot, stored: Stored): void {
    natsMetrics.published.inc()
    if (stored.duplicate) natsMetrics.duplicates.inc()
    const wasOldest = this.#phase !== 'open' && this.#inFlight.oldest === slot
    this.#inFlight.remove(slot)
    slot.resolve(stored)
    if (this.#phase === 'open') {
      if (this.#isWorthWhile()) this.#pump()
    } else this.#step('stored', wasOldest)
    this.#checkIdle()
  }

  #onNotStored(event: 'later' | 'out_of_turn', slot: PublishSlot, reason: string): void {
    const action = this.#step(event, this.#inFlight.oldest === slot)
    if (action === 'wait') this.#pause.tell(slot, this.#inFlight.size, reason)
  }

  #step(event: PublishEvent, isOldest: boolean): PublishAction {
    const { action, phase } = onPublishEvent(this.#phase, event, isOldest)
    this.#phase = phase
    if (action === 'wait') this.#pause.start(() => this.#step('time_is_up', true))
    else if (action === 'probe') this.#probe()
    else if (action === 'resend') this.#resend()
    return action
  }

  /** The oldest again, alone. */
  #probe(): void {
    const { oldest } = this.#inFlight
    this.#pause.cancel()
    if (oldest === undefined) return void this.#step('connected', true)
    if (!this.#client.link.connected) return
    this.#sendAgain([oldest])
  }

  /** Everything in flight again, in order, and then what waits. */
  #resend(): void {
    this.#pause.end()
    this.#sendAgain(this.#inFlight)
    this.#pump()
  }

  #sendAgain(slots: Iterable<PublishSlot>): void {
    for (const slot of slots) {
      if (!this.#client.link.connected) return
      natsMetrics.resent.inc()
      this.#send(slot)
    }
  }

  /** No stream takes the subject, or JetStream is not up: only its API can tell. */
  async #onNoResponders(slot: PublishSlot): Promise<void> {
    const heldAlready = this.#phase === 'held'
    this.#onNotStored('later', slot, 'no stream took the message')
    const { subject } = slot.publication
    if (heldAlready || (await restoreStreamOf(this.#client, subject))) return
    this.#fail(slot, new PublishError('no_stream', `no stream takes the subject ${subject}`))
  }

  #onDenied(error: Error): void {
    this.#client.logger.error(`NATS refuses the subscription for acknowledgements: ${messageOf(error)}`)
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
    if (!this.#options.ordered) return
    const reason = `an earlier message was given up: ${error.message}`
    this.#closedBecause ??= new PublishError('superseded', reason, { cause: error })
    const later = this.#inFlight.removeBehind(number)
    for (const slot of [...later, ...this.#waiting.drain()]) if (!slot.settled) slot.reject(this.#closedBecause)
  }

  #giveUp(slot: PublishSlot, reason: unknown): void {
    const wasOldest = this.#inFlight.oldest === slot
    this.#inFlight.remove(slot)
    slot.reject(reason)
    if (this.#phase === 'open') this.#pump()
    else this.#step('given_up', wasOldest)
    this.#checkIdle()
  }

  #checkDeadline(): void {
    const { oldest } = this.#inFlight
    if (oldest === undefined || this.#phase === 'closed') return
    this.#deadline.watch()
    const { ackTimeoutMs } = this.#options
    if (this.#phase === 'held' || !this.#client.link.connected) return
    if (performance.now() - oldest.sentAt < ackTimeoutMs) return
    this.#onNotStored('later', oldest, `no acknowledgement for ${ackTimeoutMs / 1000} s`)
    void restoreStreamOf(this.#client, oldest.publication.subject)
  }

  #checkIdle(): void {
    if (this.#inFlight.size > 0 || this.#waiting.length > 0) return
    this.#deadline.stop()
    for (const listener of this.#idleListeners.splice(0)) listener()
  }

  #shut(message: string): void {
    if (this.#phase === 'closed') return
    const because = new PublishError('closed', message)
    this.#phase = 'closed'
    this.#closedBecause ??= because
    this.#pause.cancel()
    this.#offLink()
    if (!this.#client.connection.isClosed()) this.#subscription.unsubscribe()
    const left = [...this.#inFlight.removeBehind(-1), ...this.#waiting.drain()]
    for (const slot of left) if (!slot.settled) slot.reject(because)
    this.#checkIdle()
  }
}

/** Looks now and then whether the oldest message waits too long for its acknowledgement; one timer for all messages. */
export class AckDeadline {
  readonly #everyMs: number
  readonly #check: () => void
  #timer: NodeJS.Timeout | undefined

  /** `check` is called once a quarter of `ackTimeoutMs` after `watch`. */
  constructor(ackTimeoutMs: number, check: () => void) {
    this.#everyMs = ackTimeoutMs / 4
    this.#check = check
  }

  watch(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#check()
    }, this.#everyMs)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
