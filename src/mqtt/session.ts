import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayConfigError, messageOf } from '../domain/errors.ts'
import type { GatewayBroker } from '../domain/gateway-config.ts'
import { retryDelayMs } from '../domain/gateway-orchestration/retry.ts'
import { AckQueue } from './ack-queue.ts'
import { type BrokerVersions, endSession } from './broker-versions.ts'
import { credentialsKey } from './broker.ts'
import type { MqttConnection } from './connection.ts'
import { CredentialChecks } from './credential-checks.ts'
import type { InFlightBudget } from './in-flight-budget.ts'
import type { MqttMessage } from './message.ts'
import { MessageRouter } from './message-router.ts'
import { ConnectionRefused } from './reason-codes.ts'
import { assertAnyOwned, type MqttSubscription, Subscriber } from './subscriber.ts'
import { identifierOf, nextPeriod, type Topic, Topics } from './topics.ts'

/** The state of one connection. */
interface Link {
  readonly connection: MqttConnection
  readonly acks: AckQueue
  readonly router: MessageRouter
  /** The filters that are, or are being, subscribed. */
  readonly subscribed: Map<string, Promise<void>>
  /** The number of messages since the subscription identifiers have changed. */
  received: number
}

export interface SessionOptions {
  /** Must be stable: the broker keeps the subscriptions and messages at QoS 1 for it while it is disconnected. */
  readonly clientId: string
  readonly versions: BrokerVersions
  /** The largest packet that is buffered. */
  readonly maxPacketBytes: () => number
  /** The budget of all sessions. */
  readonly budget: InFlightBudget
  /** Whose share of the budget the session uses. */
  readonly owner: string
}

/** Half of the longest delay before the first reconnect; doubled for each further one, up to a minute, with jitter. */
const RECONNECT_MS = 500
/** The time in which a stop waits for the messages in flight; a gateway has 5 s to stop. */
const DRAIN_MS = 4000
/** The wait of messages without a subscriber after a connect, and after a subscriber left: longer than any delay before a retry. */
const HOLD_MS = 120_000
/** The number of subscriptions that are requested at the same time. */
const SUBSCRIBE_BATCH = 1000
/** The number of messages after which the subscription identifiers change: less than there are packet ids, 65,535. */
const PERIOD_MESSAGES = 16_384

/**
 * A persistent session at a broker: one connection, which is opened again without end after it was lost, with the subscriptions of one
 * or more gateways. Messages are handled concurrently, within bounds, and acknowledged in the order of receipt.
 */
export class MqttSession {
  readonly #options: SessionOptions
  readonly #subscribers = new Set<Subscriber>()
  readonly #topics = new Topics()
  #leaving = 0
  /** The address and credentials of the connection. */
  #broker: GatewayBroker | undefined
  #holdUntilMs = 0
  #ending: Promise<void> | undefined
  readonly #checks: CredentialChecks
  #link: Link | undefined
  /** The period of the subscription identifiers. */
  #period = nextPeriod()
  #isRunning = false
  /** Aborts when the last subscriber leaves. */
  #unused = new AbortController()
  #failures = 0
  #nextAttemptAtMs = 0

  constructor(options: SessionOptions) {
    this.#options = options
    this.#checks = new CredentialChecks(options)
  }

  /** Whether there is nothing to remember: no subscriber, and no delay before the next attempt. */
  get isUnused(): boolean {
    return this.#subscribers.size === 0 && this.idleMs === 0
  }

  /** The time until the next attempt to connect. */
  get idleMs(): number {
    return Math.max(0, this.#nextAttemptAtMs - performance.now())
  }

  /**
   * Subscribes until the signal aborts; then waits for the messages in flight, at most 4 s, and resolves when they are acknowledged.
   * Rejects if the first connection fails, or the broker rejects the client or the subscription. The subscribers must have the same
   * broker and user.
   */
  async subscribe(subscription: MqttSubscription, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    await this.#checkCredentials(subscription, signal)
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

  /** A wrong password must neither end the connection of the others nor receive by it, so other credentials than its own are checked. */
  async #checkCredentials(subscription: MqttSubscription, signal: AbortSignal): Promise<void> {
    if (this.#subscribers.size === 0 || credentialsKey(subscription.broker) === credentialsKey(this.#broker)) return
    await this.#checks.check(subscription, signal)
  }

  #add(subscriber: Subscriber): void {
    if (this.#subscribers.size === 0) {
      this.#unused = new AbortController()
      this.#broker = subscriber.subscription.broker
    }
    this.#subscribers.add(subscriber)
    const topic = this.#topics.add(subscriber)
    if (this.#link !== undefined) {
      this.#link.acks.unhold()
      void this.#subscribeTopic(this.#link, topic, [subscriber])
      this.#link.router.claim()
    }
    if (!this.#isRunning) void this.#run()
  }

  /** Lets the messages in flight finish. If all subscribers leave, nothing further is received meanwhile. */
  async #stop(subscriber: Subscriber): Promise<void> {
    subscriber.isLeaving = true
    this.#leaving += 1
    if (this.#leaving === this.#subscribers.size) this.#link?.acks.hold()
    this.#detach(subscriber)
    await subscriber.drain(DRAIN_MS)
    subscriber.end()
  }

  /** Passes no further messages to the subscriber. */
  #detach(subscriber: Subscriber): void {
    const outcome = this.#topics.delete(subscriber)
    if (outcome === 'kept') this.#holdUntilMs = performance.now() + HOLD_MS
    if (outcome === 'removed' && this.#link !== undefined) {
      void this.#unsubscribe(this.#link, subscriber.subscription.topicFilter)
    }
  }

  /** The last subscriber closes the connection, and ends the session if the broker must forget all its subscriptions. */
  async #remove(subscriber: Subscriber): Promise<void> {
    this.#detach(subscriber)
    this.#subscribers.delete(subscriber)
    if (subscriber.isLeaving) this.#leaving -= 1
    if (this.#subscribers.size > 0) return this.#redeliver(subscriber)
    this.#unused.abort()
    const link = this.#link
    this.#link = undefined
    if (link === undefined) return
    const options = { ...this.#options, broker: this.#broker, assertOwned: subscriber.subscription.assertOwned }
    this.#ending = this.#topics.hasKept ? link.connection.end() : endSession(link.connection, options)
    await this.#ending
  }

  /**
   * Closes the connection if a subscriber left messages that are not stored: acknowledgements are in order, so those of the other
   * subscribers would wait for these without end.
   */
  #redeliver({ hasUnhandled }: Subscriber): void {
    if (!hasUnhandled || this.#subscribers.size === this.#leaving) return
    void this.#link?.connection.end({ reason: 'a gateway of the session stopped before its messages were stored' })
  }

  async #unsubscribe(link: Link, filter: string): Promise<void> {
    link.subscribed.delete(filter)
    // After the loss of the connection, the next one unsubscribes.
    const isDone = await link.connection.unsubscribe(filter).then(
      () => true,
      () => false,
    )
    if (isDone && !link.subscribed.has(filter)) this.#topics.forgetRemoved(filter)
  }

  /** Keeps a connection as long as there are subscribers. */
  async #run(): Promise<void> {
    this.#isRunning = true
    while (this.#subscribers.size > 0) {
      const { signal } = this.#unused
      try {
        const waitMs = this.#nextAttemptAtMs - performance.now()
        if (waitMs > 0) await sleep(waitMs, undefined, { signal })
        await this.#ending
        const broker = this.#broker
        if (broker === undefined || signal.aborted) continue
        const assertOwned = (): void => assertAnyOwned(this.#subscribers)
        const options = { ...this.#options, broker, assertOwned, clean: false }
        await this.#serve(await this.#options.versions.open(options, signal))
      } catch (error) {
        if (!signal.aborted) this.#onConnectFailed(error)
      }
    }
    this.#isRunning = false
  }

  /** Resolves when the connection is lost. */
  async #serve(connection: MqttConnection): Promise<void> {
    const acks = new AckQueue({ connection, ...this.#options })
    const router = new MessageRouter({ topics: this.#topics, acks, holdUntilMs: () => this.#holdUntilMs })
    const link: Link = { connection, acks, router, subscribed: new Map(), received: 0 }
    this.#link = link
    this.#holdUntilMs = performance.now() + HOLD_MS
    connection.listen((message) => this.#route(link, message))
    if (this.#subscribers.size === 0) void connection.end()
    for (const filter of this.#topics.removed) void this.#unsubscribe(link, filter)
    this.#period = nextPeriod(this.#period)
    await this.#subscribeAll(link)
    const reason = await connection.closed
    router.close()
    if (this.#link === link) this.#link = undefined
    link.acks.abandon()
    this.#delayAttempt()
    for (const subscriber of this.#subscribers) {
      subscriber.drop()
      subscriber.interrupted(reason)
    }
  }

  async #subscribeAll(link: Link): Promise<void> {
    const topics = this.#topics.all()
    for (let start = 0; start < topics.length; start += SUBSCRIBE_BATCH) {
      const batch = topics.slice(start, start + SUBSCRIBE_BATCH)
      await Promise.all(batch.map((topic) => this.#subscribeTopic(link, topic, topic.subscribers)))
    }
  }

  /** Subscribes again with other identifiers, before the broker uses a packet id again. With MQTT 3.1.1 there are none. */
  #beginPeriod(link: Link): void {
    link.received = 0
    if (link.connection.version !== 5) return
    this.#period = nextPeriod(this.#period)
    link.subscribed.clear()
    void this.#subscribeAll(link)
  }

  async #subscribeTopic(link: Link, topic: Topic, subscribers: Iterable<Subscriber>): Promise<void> {
    const { filter } = topic
    const retained = [...topic.subscribers].some(({ subscription }) => subscription.retained)
    const qos = [...topic.subscribers].every(({ subscription }) => subscription.qos === 0) ? 0 : 1
    const affected = [...subscribers]
    try {
      let granted = link.subscribed.get(filter)
      if (granted === undefined) {
        granted = link.connection.subscribe(filter, identifierOf(topic, this.#period), retained, qos)
        link.subscribed.set(filter, granted)
      }
      await granted
      this.#failures = 0
      for (const subscriber of affected) subscriber.succeeded(link.connection.brokerAddress)
    } catch (error) {
      link.subscribed.delete(filter)
      // After the loss of the connection, the next one subscribes.
      if (this.#link === link && !link.connection.isClosed) for (const subscriber of affected) subscriber.end(error)
    }
  }

  #route(link: Link, message: MqttMessage): void {
    link.received += 1
    if (link.received === PERIOD_MESSAGES) this.#beginPeriod(link)
    link.router.route(message)
  }

  /** Ends the subscription, and closes the connection, so that the broker delivers the message again. */
  #onHandlerFailed(subscriber: Subscriber, error: unknown): void {
    void this.#link?.connection.end({ reason: messageOf(error) })
    subscriber.end(error)
  }

  /**
   * Subscribers that have been connected wait for the next attempt, unless the broker rejects the client. Those with other credentials
   * than the rejected ones try with theirs.
   */
  #onConnectFailed(error: unknown): void {
    this.#delayAttempt()
    const isRefused = error instanceof ConnectionRefused || error instanceof GatewayConfigError
    const used = credentialsKey(this.#broker)
    const others: Subscriber[] = []
    for (const subscriber of this.#subscribers) {
      const isOther = credentialsKey(subscriber.subscription.broker) !== used
      if (isRefused && isOther) others.push(subscriber)
      else if (isRefused || !subscriber.wasSubscribed) subscriber.end(error)
      else subscriber.interrupted(messageOf(error))
    }
    const [next] = others
    if (next !== undefined) this.#broker = next.subscription.broker
  }

  #delayAttempt(): void {
    this.#failures += 1
    this.#nextAttemptAtMs = performance.now() + retryDelayMs(this.#failures + 1, RECONNECT_MS, Math.random())
  }
}
