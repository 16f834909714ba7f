import { Counter } from 'prom-client'
import type { AckQueue, Entry } from './ack-queue.ts'
import type { MqttMessage } from './message.ts'
import type { Topics } from './topics.ts'

const ignored = new Counter({
  name: 'ponix_mqtt_ignored_messages_total',
  help: 'MQTT messages acknowledged without being stored. Labels: reason (retained; no_gateway: the gateway of the subscription is removed).',
  labelNames: ['reason'],
})

export interface MessageRouterParts {
  readonly topics: Topics
  readonly acks: AckQueue
  /** Returns the time, of `performance.now`, until which messages without a subscriber wait for one. */
  readonly holdUntilMs: () => number
}

/** A message without a subscriber, which waits until this time. */
interface Unclaimed {
  readonly message: MqttMessage
  readonly entry: Entry
  readonly untilMs: number
}

/**
 * Passes the messages of a connection to the subscribers of the topics that they match. A message without a subscriber waits, because
 * its gateway may be about to subscribe again; after that it is acknowledged without being stored.
 */
export class MessageRouter {
  readonly #parts: MessageRouterParts
  /** In the order of receipt, and of their times, because `holdUntilMs` never decreases. */
  readonly #unclaimed = new Set<Unclaimed>()
  #timer: NodeJS.Timeout | undefined

  constructor(parts: MessageRouterParts) {
    this.#parts = parts
  }

  route(message: MqttMessage): void {
    const { acks, topics, holdUntilMs } = this.#parts
    const entry = acks.add(message)
    if (this.#deliver(message, entry)) return
    const untilMs = holdUntilMs()
    if (performance.now() >= untilMs || topics.isOfRemoved(message)) return this.#drop(entry)
    this.#unclaimed.add({ message, entry, untilMs })
    this.#timer ??= this.#dropAt(untilMs)
  }

  /** Passes waiting messages to a subscriber that has come after them. */
  claim(): void {
    for (const unclaimed of this.#unclaimed) {
      if (this.#deliver(unclaimed.message, unclaimed.entry)) this.#unclaimed.delete(unclaimed)
    }
  }

  /** Call it when the connection is lost. */
  close(): void {
    clearTimeout(this.#timer)
  }

  /** Returns whether the message matches a topic with subscribers. */
  #deliver(message: MqttMessage, entry: Entry): boolean {
    const { acks, topics } = this.#parts
    const matching = topics.match(message)
    if (matching.length === 0) return false
    const receivers = matching
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

  #dropAt(atMs: number): NodeJS.Timeout {
    return setTimeout(() => this.#dropUnclaimed(), Math.max(0, atMs - performance.now())).unref()
  }

  /** Acknowledges messages of subscriptions whose gateway was removed, and that the broker still has. */
  #dropUnclaimed(): void {
    this.#timer = undefined
    for (const unclaimed of this.#unclaimed) {
      if (performance.now() < unclaimed.untilMs) {
        this.#timer = this.#dropAt(unclaimed.untilMs)
        return
      }
      this.#unclaimed.delete(unclaimed)
      this.#drop(unclaimed.entry)
    }
  }

  #drop(entry: Entry): void {
    ignored.inc({ reason: 'no_gateway' })
    this.#parts.acks.settle(entry)
  }
}
