import { createHash } from 'node:crypto'
import type { MqttMessage } from './message.ts'
import type { Subscriber } from './subscriber.ts'
import { TopicTree } from './topic-tree.ts'

/** The subscribers of a topic filter. */
export interface Topic {
  readonly filter: string
  readonly identifier: number
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
      topic = { filter, identifier: identifierOf(filter), subscribers: new Set() }
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
    const named = matching.filter(({ identifier }) => identifiers.includes(identifier))
    return named.length > 0 ? named : matching
  }

  /** Returns whether only a subscriber that does not return would receive the message. */
  isOfRemoved({ topic }: MqttMessage): boolean {
    return this.#removedTree.match(topic).length > 0
  }
}

/** Returns the subscription identifier of a filter (MQTT 5, 3.8.2.1.2): from 1 to 268,435,455, and stable, because the broker stores it. */
function identifierOf(filter: string): number {
  return (createHash('sha256').update(filter).digest().readUInt32BE(0) % 0xf_ff_ff_ff) + 1
}
