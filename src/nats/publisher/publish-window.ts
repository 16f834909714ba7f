import type { Msg } from '@nats-io/nats-core'
import { PublishError } from '../../domain/errors.ts'
import { Fifo } from '../../domain/fifo.ts'
import type { NatsClient } from '../connection.ts'
import { natsMetrics } from '../metrics.ts'
import { checkSize, readReply, type Publication, type Stored } from './publication.ts'
import { AbortListeners } from './abort-listeners.ts'
import { PublishChannel } from './publish-channel.ts'
import {
  AckDeadline,
  InFlight,
  onPublishEvent,
  PendingPublish,
  PublishChain,
  RetryBackoff,
  type PublishAction,
  type PublishEvent,
  type PublishPhase,
} from './publish-state.ts'
import { restoreStreamOf, streamFinder } from '../streams.ts'

export interface WindowOptions {
  readonly maxInFlight: number
  /** Maximum bytes of bodies in flight; a larger message is sent alone. Default 16 MiB. */
  readonly maxInFlightBytes?: number
  /** Time without an acknowledgement after which the oldest message is sent again. Default 5,000 ms. */
  readonly ackTimeoutMs?: number
  /**
   * True if each message is stored only after the earlier messages of its stream; after a failure all later messages reject.
   * Otherwise the other messages continue.
   */
  readonly ordered: boolean
}

/** While at least this many messages are in flight, they are sent in groups of this size. */
const GROUP_SIZE = 64

/**
 * Publishes to JetStream with a window of messages in flight, in the order of the calls. When a message is rejected or not
 * acknowledged, the oldest is retried alone, and the others follow when it is stored; after a reconnect all are sent again.
 * `onPublishEvent` has the rules. Message ids make a resend harmless, and the {@link PublishChain} prevents a later message from
 * being stored first.
 */
export class PublishWindow {
  readonly #client: NatsClient
  readonly #ordered: boolean
  readonly #deadline: AckDeadline
  /** A full window is refilled when a quarter of it is free. */
  readonly #refillAt: number
  readonly #channel: PublishChannel
  readonly #backoff: RetryBackoff
  readonly #queue = new Fifo<PendingPublish>()
  readonly #inFlight: InFlight
  readonly #chain: PublishChain | undefined
  readonly #abortListeners = new AbortListeners()
  readonly #idleListeners: (() => void)[] = []
  #nextNumber = 0
  #phase: PublishPhase = 'open'
  #closeReason: PublishError | undefined

  constructor(client: NatsClient, options: WindowOptions) {
    this.#client = client
    this.#ordered = options.ordered
    this.#inFlight = new InFlight({
      items: options.maxInFlight,
      bytes: options.maxInFlightBytes ?? 16 * 1024 * 1024,
    })
    this.#deadline = new AckDeadline(options.ackTimeoutMs ?? 5000, () => this.#checkDeadline())
    this.#refillAt = Math.floor(options.maxInFlight * 0.75)
    this.#backoff = new RetryBackoff(client.logger)
    this.#chain = options.ordered ? new PublishChain(streamFinder(client)) : undefined
    this.#channel = new PublishChannel(client, {
      onReply: (number, reply) => this.#onReply(number, reply),
      onConnected: () => this.#step('connected', true),
      onClosed: (reason) => this.#shut(reason),
    })
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  /** Publishes; resolves when the message is stored. Rejects with a PublishError, or with the signal's reason. */
  publish(publication: Publication, signal?: AbortSignal): Promise<Stored> {
    try {
      if (this.#closeReason !== undefined) throw this.#closeReason
      signal?.throwIfAborted()
      const message = this.#enqueue(publication)
      if (signal !== undefined) {
        message.onSettled(this.#abortListeners.add(signal, () => this.#reject(message, signal.reason)))
      }
      if (this.#shouldPump()) this.#pump()
      return message.stored
    } catch (error) {
      return Promise.reject(error)
    }
  }

  flush(): Promise<void> {
    if (this.#inFlight.size === 0 && this.#queue.length === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idleListeners.push(resolve))
  }

  close(): void {
    this.#shut('the publisher is closed')
  }

  #enqueue(publication: Publication): PendingPublish {
    const number = this.#nextNumber++
    try {
      const predecessor = this.#chain?.add(publication.subject, { number, messageId: publication.messageId.trim() })
      const message = new PendingPublish(publication, number, predecessor)
      checkSize(publication, this.#channel.maxPayload)
      this.#queue.push(message)
      return message
    } catch (error) {
      if (error instanceof PublishError) this.#onFailure(number, error)
      throw error
    }
  }

  /**
   * Returns whether to send now. A write costs more than a message. While many messages are in flight, whose acknowledgements
   * call this again, new messages wait for a group; with few in flight each message is sent immediately.
   */
  #shouldPump(): boolean {
    const inFlight = this.#inFlight.size
    return inFlight < GROUP_SIZE || (inFlight <= this.#refillAt && this.#queue.length >= GROUP_SIZE)
  }

  #pump(): void {
    while (this.#phase === 'open' && this.#client.link.connected) {
      const message = this.#queue.peek()
      if (message === undefined) return this.#checkIdle()
      if (!message.settled && (!this.#inFlight.fits(message) || this.#mustFollowLater(message))) return
      this.#queue.shift()
      if (message.settled) continue
      const error = message.sendingError()
      if (error === undefined) {
        this.#inFlight.add(message)
        this.#send(message)
      } else message.reject(error)
    }
  }

  /** Returns whether a message becomes too large by the expectation of its predecessor, and therefore waits until that is stored. */
  #mustFollowLater(message: PendingPublish): boolean {
    return this.#inFlight.hasPredecessorOf(message) && message.expectantBytes > this.#channel.maxPayload
  }

  #send(message: PendingPublish): void {
    message.sentAt = performance.now()
    this.#deadline.watch()
    const error = this.#channel.send(message, this.#inFlight.hasPredecessorOf(message))
    if (error?.code === 'closed') this.#shut(error.message)
    else if (error !== undefined) this.#fail(message, error)
  }

  #onReply(number: number, reply: Msg): void {
    const message = this.#inFlight.get(number)
    if (message === undefined) return
    const result = readReply(reply, message.publication.subject)
    switch (result.kind) {
      case 'stored':
        return this.#resolve(message, result.stored)
      case 'never':
        return this.#fail(message, result.error)
      case 'later':
        return this.#onNotStored('later', message, result.reason)
      case 'out_of_order':
        return this.#onNotStored('out_of_order', message, 'another message was stored in between')
      case 'no_responders':
        return void this.#onNoResponders(message)
    }
  }

  #resolve(message: PendingPublish, stored: Stored): void {
    natsMetrics.published.inc()
    if (stored.duplicate) natsMetrics.duplicates.inc()
    const wasOldest = this.#phase !== 'open' && this.#inFlight.oldest === message
    this.#inFlight.remove(message)
    message.resolve(stored)
    if (this.#phase !== 'open') this.#step('stored', wasOldest)
    else if (this.#shouldPump()) this.#pump()
    this.#checkIdle()
  }

  #onNotStored(event: 'later' | 'out_of_order', message: PendingPublish, reason: string): void {
    const action = this.#step(event, this.#inFlight.oldest === message)
    if (action === 'back_off') this.#backoff.logOnce(message, this.#inFlight.size, reason)
  }

  #step(event: PublishEvent, isOldest: boolean): PublishAction {
    const { action, phase } = onPublishEvent(this.#phase, event, isOldest)
    this.#phase = phase
    if (action === 'back_off') this.#backoff.start(() => this.#step('delay_over', true))
    else if (action === 'probe') this.#probe()
    else if (action === 'resend') this.#resend()
    return action
  }

  #probe(): void {
    const { oldest } = this.#inFlight
    this.#backoff.cancel()
    if (oldest === undefined) this.#step('connected', true)
    else this.#sendAgain([oldest])
  }

  #resend(): void {
    this.#backoff.reset()
    this.#sendAgain(this.#inFlight.values())
    this.#pump()
  }

  #sendAgain(messages: Iterable<PendingPublish>): void {
    for (const message of messages) {
      if (!this.#client.link.connected) return
      const error = message.sendingError()
      if (error !== undefined) {
        this.#reject(message, error)
        continue
      }
      natsMetrics.resent.inc()
      this.#send(message)
    }
  }

  /** Asks JetStream's API whether no stream captures the subject, or JetStream is not running. */
  async #onNoResponders(message: PendingPublish): Promise<void> {
    const wasBackingOff = this.#phase === 'backingOff'
    this.#onNotStored('later', message, 'no stream captured the message')
    const { subject } = message.publication
    if (wasBackingOff || (await restoreStreamOf(this.#client, subject))) return
    this.#fail(message, new PublishError('no_stream', `no stream captures the subject ${subject}`))
  }

  #fail(message: PendingPublish, error: PublishError): void {
    if (message.settled) return
    this.#onFailure(message.number, error)
    this.#reject(message, error)
  }

  /** Counts the failure; an ordered publisher also rejects all later messages. */
  #onFailure(number: number, error: PublishError): void {
    natsMetrics.publishFailures.inc({ code: error.code })
    if (!this.#ordered) return
    this.#closeReason ??= new PublishError('superseded', `an earlier message failed: ${error.message}`, {
      cause: error,
    })
    this.#rejectAfter(number, this.#closeReason)
  }

  #reject(message: PendingPublish, reason: unknown): void {
    const wasOldest = this.#inFlight.oldest === message
    this.#inFlight.remove(message)
    message.reject(reason)
    if (this.#phase === 'open') this.#pump()
    else this.#step('failed', wasOldest)
    this.#checkIdle()
  }

  #rejectAfter(number: number, reason: PublishError): void {
    const queued = this.#queue.drain()
    for (const message of queued) if (message.number < number) this.#queue.push(message)
    for (const message of [...this.#inFlight.removeAfter(number), ...queued]) {
      if (message.number > number && !message.settled) message.reject(reason)
    }
  }

  #checkDeadline(): void {
    const { oldest } = this.#inFlight
    if (oldest === undefined || this.#phase === 'closed') return
    this.#deadline.watch()
    if (this.#phase === 'backingOff' || !this.#client.link.connected) return
    if (performance.now() - oldest.sentAt < this.#deadline.timeoutMs) return
    this.#onNotStored('later', oldest, `no acknowledgement for ${this.#deadline.timeoutMs / 1000} s`)
    void restoreStreamOf(this.#client, oldest.publication.subject)
  }

  #checkIdle(): void {
    if (this.#inFlight.size > 0 || this.#queue.length > 0) return
    this.#deadline.cancel()
    for (const listener of this.#idleListeners.splice(0)) listener()
  }

  #shut(reason: string): void {
    if (this.#phase === 'closed') return
    const error = new PublishError('closed', reason)
    this.#phase = 'closed'
    this.#closeReason ??= error
    this.#backoff.cancel()
    this.#channel.close()
    this.#rejectAfter(-1, error)
    this.#checkIdle()
  }
}
