/** A connection of a session; an object of its own for each connection. */
export interface MqttOrigin {
  readonly clientId: string
}

export interface MqttMessage {
  readonly origin: MqttOrigin
  readonly topic: string
  /** Empty if the message is too large to be read. */
  readonly payload: Uint8Array
  /** The size of the payload of a message that is too large; otherwise 0. */
  readonly omittedBytes: number
  /** Whether the broker has sent the message before (MQTT 5, 3.3.1.1), on this connection of the session or an earlier one. */
  readonly dup: boolean
  /** Identifies a message in flight between the broker and this client id; undefined at QoS 0. A later message can reuse it. */
  readonly packetId: number | undefined
  /** Whether the broker had retained the message before the subscription. */
  readonly retain: boolean
  /** The identifiers of the subscriptions that the message matches (MQTT 5); otherwise empty. */
  readonly identifiers: readonly number[]
}
