import type { AckQueue, Entry } from './ack-queue.ts'
import type { MqttConnection } from './connection.ts'
import type { MqttMessage } from './message.ts'

/** The state of one connection of a session. */
export interface Link {
  readonly connection: MqttConnection
  readonly acks: AckQueue
  /** The filters that are, or are being, subscribed. */
  readonly subscribed: Map<string, Promise<void>>
  /** The messages that match no subscription. */
  readonly unclaimed: Set<Unclaimed>
  /** The number of messages since the subscription identifiers have changed. */
  received: number
}

interface Unclaimed {
  readonly message: MqttMessage
  readonly entry: Entry
}
