import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayConfigError, messageOf } from '../domain/errors.ts'
import type { GatewayBroker } from '../domain/gateway-config.ts'
import { retryDelayMs } from '../domain/gateway-orchestration/retry.ts'
import { AckQueue } from './ack-queue.ts'
import type { BrokerVersions } from './broker-versions.ts'
import type { MqttConnection } from './connection.ts'
import type { MqttMessage } from './message.ts'
import { ConnectionRefused } from './reason-codes.ts'
import { type MqttSubscription, Subscriber } from './subscriber.ts'
import { TopicTree } from './topic-tree.ts'

export interface SessionOptions {
  readonly broker: GatewayBroker
  /** Must be stable: the broker keeps the subscriptions and messages at QoS 1 for it while it is disconnected. */
  readonly clientId: string
  readonly versions: BrokerVersions
  /** The largest packet that is buffered. */
  readonly maxPacketBytes: () => number
}

/** The subscribers of a topic filter. */
interface Topic {
  readonly filter: string
  readonly identifier: number
  readonly subscribers: Set<Subscriber>
}

/** The state of one connection. */
interface Link {
  readonly connection: MqttConnection
  readonly acks: AckQueue
  /** The filters that are, or are being, subscribed. */
  readonly subscribed: Map<string, Promise<void>>
}

/** Half of the longest delay before the first reconnect; doubled for each further one, up to a minute, with jitter. */
const RECONNECT_MS = 500
/** The time in which a stop waits for the messages in flight; a gateway has 5 s to stop. */
const DRAIN_MS = 4000
/** The number of subscriptions that are requested at the same time. */
const SUBSCRIBE_BATCH = 1000

/**
 * A persistent session at a broker: one connection, which is opened again without end after it was lost, with the subscriptions of one
 * or more gateways. Messages are handled concurrently, within bounds, and acknowledged in the order of receipt.
 */
export class MqttSession {
  readonly #options: SessionOptions
  readonly #subscribers = new Set<Subscriber>()
  readonly #topics = new Map<string, Topic>()
  readonly #tree = new TopicTree<Topic>()
  #leaving = 0
  #link: Link | undefined
  #isRunning = false
  /** Aborts when the last subscriber leaves. */
  #unused = new AbortController()
  #failures = 0
  #nextAttemptAtMs = 0

  constructor(options: SessionOptions) {
    this.#options = options
  }

  /**
   * Subscribes until the signal aborts; then waits for the messages in flight, at most 4 s, and resolves when they are acknowledged.
   * Rejects if the first connection fails, or the broker rejects the client or the subscription.
   */
  async subscribe(subscription: MqttSubscription, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    const subscriber = new Subscriber(subscription, (error) => this.#onHandlerFailed(subscriber, error))
    const onAbort = (): void => void this.#stop(subscriber)
    signal.addEventListener('abort', onAbort, { once: true })
    this.#add(subscriber)
    try {
      await subscriber.ended
    } finally {
      signal.removeEventListener('abort', onAbort)
      await this.#remove(subscriber)
    }
  }

  #add(subscriber: Subscriber): void {
    const { topicFilter: filter } = subscriber.subscription
    if (this.#subscribers.size === 0) this.#unused = new AbortController()
    this.#subscribers.add(subscriber)
    let topic = this.#topics.get(filter)
    if (topic === undefined) {
      topic = { filter, identifier: identifierOf(filter), subscribers: new Set() }
      this.#topics.set(filter, topic)
      this.#tree.add(filter, topic)
    }
    topic.subscribers.add(subscriber)
    this.#link?.acks.release()
    if (this.#link !== undefined) void this.#subscribeTopic(this.#link, topic, [subscriber])
    if (!this.#isRunning) void this.#run()
  }

  /** Lets the messages in flight finish. If all subscribers leave, nothing further is received meanwhile. */
  async #stop(subscriber: Subscriber): Promise<void> {
    subscriber.isLeaving = true
    this.#leaving += 1
    if (this.#leaving === this.#subscribers.size) this.#link?.acks.hold()
    if (subscriber.subscription.mayFinish()) await subscriber.drain(DRAIN_MS)
    subscriber.end()
  }

  /** Removes the subscriber; the last one closes the connection. The broker keeps the session. */
  async #remove(subscriber: Subscriber): Promise<void> {
    const { topicFilter: filter } = subscriber.subscription
    this.#subscribers.delete(subscriber)
    if (subscriber.isLeaving) this.#leaving -= 1
    const topic = this.#topics.get(filter)
    topic?.subscribers.delete(subscriber)
    if (topic?.subscribers.size === 0) {
      this.#topics.delete(filter)
      this.#tree.delete(filter, topic)
    }
    if (this.#subscribers.size > 0) return
    this.#unused.abort()
    const link = this.#link
    this.#link = undefined
    await link?.connection.end()
  }

  /** Keeps a connection as long as there are subscribers. */
  async #run(): Promise<void> {
    this.#isRunning = true
    while (this.#subscribers.size > 0) {
      const { signal } = this.#unused
      try {
        const waitMs = this.#nextAttemptAtMs - performance.now()
        if (waitMs > 0) await sleep(waitMs, undefined, { signal })
        await this.#serve(await this.#options.versions.open({ ...this.#options, clean: false }, signal))
      } catch (error) {
        if (!signal.aborted) this.#onConnectFailed(error)
      }
    }
    this.#isRunning = false
  }

  /** Resolves when the connection is lost. */
  async #serve(connection: MqttConnection): Promise<void> {
    const link = { connection, acks: new AckQueue(connection), subscribed: new Map<string, Promise<void>>() }
    this.#link = link
    connection.listen((message) => this.#route(link, message))
    if (this.#subscribers.size === 0) void connection.end()
    const topics = [...this.#topics.values()]
    for (let start = 0; start < topics.length; start += SUBSCRIBE_BATCH) {
      const batch = topics.slice(start, start + SUBSCRIBE_BATCH)
      await Promise.all(batch.map((topic) => this.#subscribeTopic(link, topic, topic.subscribers)))
    }
    const reason = await connection.closed
    this.#link = undefined
    link.acks.abandon()
    this.#delayAttempt()
    for (const subscriber of this.#subscribers) {
      subscriber.drop()
      subscriber.interrupted(reason)
    }
  }

  async #subscribeTopic(link: Link, topic: Topic, subscribers: Iterable<Subscriber>): Promise<void> {
    const { filter, identifier } = topic
    const retained = [...topic.subscribers].some(({ subscription }) => subscription.retained)
    const qos = [...topic.subscribers].every(({ subscription }) => subscription.qos === 0) ? 0 : 1
    const affected = [...subscribers]
    try {
      let granted = link.subscribed.get(filter)
      if (granted === undefined) {
        granted = link.connection.subscribe(filter, identifier, retained, qos)
        link.subscribed.set(filter, granted)
      }
      await granted
      this.#failures = 0
      for (const subscriber of affected) subscriber.succeeded()
    } catch (error) {
      link.subscribed.delete(filter)
      // After the loss of the connection, the next one subscribes.
      if (this.#link === link && !link.connection.isClosed) for (const subscriber of affected) subscriber.end(error)
    }
  }

  /** Passes a message to the subscribers of all filters that match it. */
  #route({ acks }: Link, message: MqttMessage): void {
    const entry = acks.add(message)
    const matching = this.#tree.match(message.topic).flatMap(({ subscribers }) => [...subscribers])
    const receivers = matching.filter(({ subscription }) => subscription.retained || !message.retain)
    let open = receivers.length
    entry.onReleased = () => {
      for (const receiver of receivers) receiver.acknowledged()
    }
    for (const receiver of receivers) {
      receiver.handle(message, () => {
        open -= 1
        if (open === 0) acks.settle(entry)
      })
    }
    if (receivers.length === 0) acks.settle(entry)
  }

  /** Ends the subscription, and closes the connection, so that the broker delivers the message again. */
  #onHandlerFailed(subscriber: Subscriber, error: unknown): void {
    void this.#link?.connection.end({ reason: messageOf(error) })
    subscriber.end(error)
  }

  /** Subscribers that have been connected wait for the next attempt, unless the broker rejects the client. */
  #onConnectFailed(error: unknown): void {
    this.#delayAttempt()
    const isRefused = error instanceof ConnectionRefused || error instanceof GatewayConfigError
    for (const subscriber of this.#subscribers) {
      if (isRefused || !subscriber.wasSubscribed) subscriber.end(error)
      else subscriber.interrupted(messageOf(error))
    }
  }

  #delayAttempt(): void {
    this.#failures += 1
    this.#nextAttemptAtMs = performance.now() + retryDelayMs(this.#failures + 1, RECONNECT_MS, Math.random())
  }
}

/** Returns the subscription identifier of a filter (MQTT 5, 3.8.2.1.2): from 1 to 268,435,455, and stable, because the broker stores it. */
function identifierOf(filter: string): number {
  return (createHash('sha256').update(filter).digest().readUInt32BE(0) % 0xf_ff_ff_ff) + 1
}
