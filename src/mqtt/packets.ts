import type { IConnectPacket, IPublishPacket, Packet } from 'mqtt-packet'
import type { GatewayBroker } from '../domain/gateway-config.ts'
import { credentialsOf } from './broker.ts'
import type { MqttMessage, MqttOrigin } from './message.ts'
import { reasonOf } from './reason-codes.ts'

// The packets of MQTT 5 and 3.1.1, which differ, and the meaning of the answers.

/** MQTT 3.1.1 is protocol level 4. */
export type MqttVersion = 4 | 5

/** The number of messages that the broker sends before it waits for an acknowledgement (MQTT 5, 3.1.2.11.3). */
export const RECEIVE_MAXIMUM = 256
export const KEEP_ALIVE_SECS = 60
/** The time for which a broker with MQTT 5 keeps the session of a client that is disconnected. */
export const SESSION_EXPIRY_SECS = 3600
/** The types of packets. */
const CONNACK = 2
const PUBLISH = 3
/** The codes of a SUBACK from here on are failures (MQTT 5, 3.9.3). */
const FIRST_FAILURE = 0x80

export interface ConnectRequest {
  readonly broker: GatewayBroker
  readonly clientId: string
  readonly version: MqttVersion
  /** Whether the broker deletes the session of the client id, and that of this connection when it ends. */
  readonly clean: boolean
}

export function connectPacket({ clientId, clean, broker, version }: ConnectRequest): IConnectPacket {
  const { username, password } = credentialsOf(broker)
  const properties = { sessionExpiryInterval: clean ? 0 : SESSION_EXPIRY_SECS, receiveMaximum: RECEIVE_MAXIMUM }
  return {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: version,
    clientId,
    clean,
    keepalive: KEEP_ALIVE_SECS,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: Buffer.from(password) }),
    ...(version === 5 ? { properties } : {}),
  }
}

/** With MQTT 5 the broker can be told to end the session. */
export function disconnectPacket(version: MqttVersion, endsSession: boolean): Packet {
  if (version === 4) return { cmd: 'disconnect' }
  const properties = endsSession ? { properties: { sessionExpiryInterval: 0 } } : {}
  return { cmd: 'disconnect', reasonCode: 0, ...properties }
}

interface SubscribeRequest {
  readonly topicFilter: string
  readonly identifier: number
  readonly retained: boolean
  readonly qos: 0 | 1
}

export function subscribePacket(version: MqttVersion, messageId: number, request: SubscribeRequest): Packet {
  const { topicFilter, identifier, retained, qos } = request
  const subscription = { topic: topicFilter, qos }
  if (version === 4) return { cmd: 'subscribe', messageId, subscriptions: [subscription] }
  return {
    cmd: 'subscribe',
    messageId,
    properties: { subscriptionIdentifier: identifier },
    // 2: no retained messages. 1: only for a new subscription (MQTT 5, 3.8.3.1).
    subscriptions: [{ ...subscription, nl: false, rap: false, rh: retained ? 1 : 2 }],
  }
}

/** Returns why the broker rejected a subscription; undefined if it did not. */
export function subscribeRejection(topicFilter: string, reply: Packet): string | undefined {
  const [grant] = reply.cmd === 'suback' ? reply.granted : []
  const code = typeof grant === 'number' ? grant : undefined
  if (code !== undefined && code < FIRST_FAILURE) return undefined
  const reason = code === undefined || code === FIRST_FAILURE ? '' : ` (${reasonOf(code)})`
  return `the broker rejected the subscription to ${topicFilter}${reason}; check the permissions of the user`
}

/** Returns whether a packet that begins with these bytes is a CONNACK. */
export function isConnack(head: Buffer): boolean {
  return (head[0] ?? 0) >> 4 === CONNACK
}

/** Returns whether a packet that begins with these bytes is a PUBLISH. */
export function isPublish(head: Buffer): boolean {
  return (head[0] ?? 0) >> 4 === PUBLISH
}

export function messageOfPublish(packet: IPublishPacket, origin: MqttOrigin): MqttMessage {
  const { topic, payload, messageId, dup, retain, properties } = packet
  const identifiers = properties?.subscriptionIdentifier ?? []
  return {
    origin,
    topic,
    payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
    omittedBytes: 0,
    packetId: messageId,
    dup,
    retain,
    identifiers: typeof identifiers === 'number' ? [identifiers] : identifiers,
  }
}
