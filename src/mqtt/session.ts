import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Counter } from 'prom-client'
import { GatewayConfigError, messageOf } from '../domain/errors.ts'
import type { GatewayBroker } from '../domain/gateway-config.ts'
import { retryDelayMs } from '../domain/gateway-orchestration/retry.ts'
import { AckQueue, type Entry } from './ack-queue.ts'
import type { BrokerVersions } from './broker-versions.ts'
import { credentialsKey } from './broker.ts'
import type { MqttConnection } from './connection.ts'
import type { InFlightBudget } from './in-flight-budget.ts'
import type { Link } from './link.ts'
import type { MqttMessage } from './message.ts'
import { ConnectionRefused } from './reason-codes.ts'
import { type MqttSubscription, Subscriber } from './subscriber.ts'
import { identifierOf, nextPeriod, type Topic, Topics } from './topics.ts'

const ignored = new Counter({
  name: 'ponix_mqtt_ignored_messages_total',
  help: 'MQTT messages acknowledged without being stored. Labels: reason (retained; no_gateway: the gateway of the subscription is removed).',
  labelNames: ['reason'],
})

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
/**
 * The time after a connect, and after a subscriber has left, for which messages without a subscriber wait: longer than the longest delay
 * before a gateway is retried.
 */
const HOLD_MS = 120_000
/** The time for which the answer of the broker to other credentials counts. */
const CHECK_MS = 5000
/** The time in which a session is ended by a further connection. */
const END_SESSION_MS = 2000
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
  readonly #checks = new Map<string, Promise<void>>()
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
    await this.#checkCredentials(subscription.broker, signal)
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

  /**
   * Rejects unless the broker accepts the credentials, which differ from those of the connection: a wrong password must neither end the
   * connection of the others nor receive by it. Subscribers that come within a short time share the answer.
   */
  async #checkCredentials(broker: GatewayBroker, signal: AbortSignal): Promise<void> {
    const key = credentialsKey(broker)
    if (this.#subscribers.size === 0 || key === credentialsKey(this.#broker)) return
    let check = this.#checks.get(key)
    if (check === undefined) {
      const { versions, maxPacketBytes } = this.#options
      const options = { broker, clientId: `ponix-${randomUUID().slice(0, 8)}`, maxPacketBytes, clean: true }
      check = versions.open(options, signal).then((connection) => connection.end())
      this.#checks.set(key, check)
      const forget = (): void => void setTimeout(() => this.#checks.delete(key), CHECK_MS).unref()
      check.then(forget, forget)
    }
    await check
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
      this.#claim(this.#link)
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
    this.#ending = this.#endConnection(link.connection, !this.#topics.hasKept)
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

  async #endConnection(connection: MqttConnection, endsSession: boolean): Promise<void> {
    await connection.end({ endsSession })
    const broker = this.#broker
    if (!endsSession || connection.version === 5 || broker === undefined) return
    // With MQTT 3.1.1 a connection with a clean session ends the old one (3.1.2.4).
    const { clientId, versions, maxPacketBytes } = this.#options
    const clean = { broker, clientId, maxPacketBytes, clean: true }
    await versions.open(clean, AbortSignal.timeout(END_SESSION_MS)).then(
      (last) => last.end(),
      () => undefined,
    )
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
        await this.#serve(await this.#options.versions.open({ ...this.#options, broker, clean: false }, signal))
      } catch (error) {
        if (!signal.aborted) this.#onConnectFailed(error)
      }
    }
    this.#isRunning = false
  }

  /** Resolves when the connection is lost. */
  async #serve(connection: MqttConnection): Promise<void> {
    const acks = new AckQueue({ connection, ...this.#options })
    const link: Link = { connection, acks, subscribed: new Map(), unclaimed: new Set(), received: 0 }
    this.#link = link
    this.#holdUntilMs = performance.now() + HOLD_MS
    const timer = setTimeout(() => this.#dropUnclaimed(link), HOLD_MS)
    connection.listen((message) => this.#route(link, message))
    if (this.#subscribers.size === 0) void connection.end()
    for (const filter of this.#topics.removed) void this.#unsubscribe(link, filter)
    this.#period = nextPeriod(this.#period)
    await this.#subscribeAll(link)
    const reason = await connection.closed
    clearTimeout(timer)
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
    const entry = link.acks.add(message)
    if (this.#deliver(link, message, entry)) return
    const isRemoved = performance.now() >= this.#holdUntilMs || this.#topics.isOfRemoved(message)
    if (isRemoved) this.#drop(link, entry)
    else link.unclaimed.add({ message, entry })
  }

  /** Passes a message to the subscribers of the topics that it matches. Returns whether there are any. */
  #deliver({ acks }: Link, message: MqttMessage, entry: Entry): boolean {
    const topics = this.#topics.match(message)
    if (topics.length === 0) return false
    const receivers = topics
      .flatMap(({ subscribers }) => [...subscribers])
      .filter(({ subscription }) => subscription.retained || !message.retain)
    let holders = receivers.length
    let isHandledByAll = true
    entry.isHeld = holders > 0
    entry.onReleased = () => {
      for (const receiver of receivers) receiver.acknowledged()
    }
    for (const receiver of receivers) {
      receiver.handle(message, (isHandled) => {
        holders -= 1
        isHandledByAll &&= isHandled
        if (holders > 0) return
        acks.release(entry)
        if (isHandledByAll) acks.settle(entry)
      })
    }
    if (receivers.length === 0) {
      ignored.inc({ reason: 'retained' })
      acks.settle(entry)
    }
    return true
  }

  /** Passes messages to a subscriber that has come after them. */
  #claim(link: Link): void {
    for (const unclaimed of link.unclaimed) {
      if (this.#deliver(link, unclaimed.message, unclaimed.entry)) link.unclaimed.delete(unclaimed)
    }
  }

  /** Acknowledges messages of subscriptions whose gateway was removed, and that the broker still has. */
  #dropUnclaimed(link: Link): void {
    const waitMs = this.#holdUntilMs - performance.now()
    if (waitMs > 0) {
      setTimeout(() => this.#dropUnclaimed(link), waitMs).unref()
      return
    }
    for (const { entry } of link.unclaimed) this.#drop(link, entry)
    link.unclaimed.clear()
  }

  #drop({ acks }: Link, entry: Entry): void {
    ignored.inc({ reason: 'no_gateway' })
    acks.settle(entry)
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
