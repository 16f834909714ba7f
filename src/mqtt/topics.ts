import { createHash, randomInt } from 'node:crypto'
import type { MqttMessage } from './message.ts'
import type { Subscriber } from './subscriber.ts'
import { TopicTree } from './topic-tree.ts'

/** The subscribers of a topic filter. */
export interface Topic {
  readonly filter: string
  /** Stable, so that the subscription identifiers of every period name the filter. */
  readonly key: number
  readonly subscribers: Set<Subscriber>
}

/** The topic filters of a session, and those that the broker may still have from subscribers that have left. */
export class Topics {
  readonly #topics = new Map<string, Topic>()
  readonly #tree = new TopicTree<Topic>()
  /** The filters whose subscribers may return. */
  readonly #kept = new Set<string>()
  /** The filters whose subscribers do not return. */
  readonly #removed = new Set<string>()
  readonly #removedTree = new TopicTree<string>()

  /** Whether the broker must keep the session although it has no subscriber. */
  get hasKept(): boolean {
    return this.#kept.size > 0
  }

  get removed(): ReadonlySet<string> {
    return this.#removed
  }

  all(): readonly Topic[] {
    return [...this.#topics.values()]
  }

  add(subscriber: Subscriber): Topic {
    const { topicFilter: filter } = subscriber.subscription
    let topic = this.#topics.get(filter)
    if (topic === undefined) {
      topic = { filter, key: keyOf(filter), subscribers: new Set() }
      this.#topics.set(filter, topic)
      this.#tree.add(filter, topic)
    }
    topic.subscribers.add(subscriber)
    this.#kept.delete(filter)
    this.forgetRemoved(filter)
    return topic
  }

  /** Removes a subscriber. Returns what becomes of its filter, if it was the last one. */
  delete(subscriber: Subscriber): 'kept' | 'removed' | undefined {
    const { topicFilter: filter, isRemoved } = subscriber.subscription
    const topic = this.#topics.get(filter)
    if (topic?.subscribers.delete(subscriber) !== true || topic.subscribers.size > 0) return undefined
    this.#topics.delete(filter)
    this.#tree.delete(filter, topic)
    if (!subscriber.isLeaving || !isRemoved()) {
      this.#kept.add(filter)
      return 'kept'
    }
    this.#removed.add(filter)
    this.#removedTree.add(filter, filter)
    return 'removed'
  }

  /** Call it when the broker has unsubscribed the filter. */
  forgetRemoved(filter: string): void {
    this.#removed.delete(filter)
    this.#removedTree.delete(filter, filter)
  }

  /** Returns the topics that match a message: with subscription identifiers only those of this copy of it. */
  match({ topic, identifiers }: MqttMessage): readonly Topic[] {
    const matching = this.#tree.match(topic)
    if (matching.length < 2 || identifiers.length === 0) return matching
    const named = matching.filter(({ key }) => identifiers.some((identifier) => identifier % KEYS === key))
    return named.length > 0 ? named : matching
  }

  /** Returns whether only a subscriber that does not return would receive the message. */
  isOfRemoved({ topic }: MqttMessage): boolean {
    return this.#removedTree.match(topic).length > 0
  }
}

const KEYS = 0x1_00_00
const PERIODS = 0xf_ff

/**
 * Returns a period other than the one before, the first at random. A broker stores the subscription identifier with a message, so that
 * messages to which it gives the same packet id in different periods can be distinguished, also by another process.
 */
export function nextPeriod(before?: number): number {
  return before === undefined ? randomInt(1, PERIODS + 1) : (before % PERIODS) + 1
}

/** Returns a subscription identifier: from 1 to 268,435,455 (MQTT 5, 3.8.2.1.2). */
export function identifierOf({ key }: Topic, period: number): number {
  return period * KEYS + key
}

function keyOf(filter: string): number {
  return createHash('sha256').update(filter).digest().readUInt16BE(0)
}
