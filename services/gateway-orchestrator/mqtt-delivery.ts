import { createHash } from 'node:crypto'
import type { MqttMessage } from '../../src/mqtt/message.ts'

/** The header of a raw envelope that says from which delivery of the broker it is: `{source}.{packet id}.{hash} {receipt}`. */
export const MQTT_DELIVERY_HEADER = 'Ponix-Mqtt'

/** What is the same each time that the broker delivers one message. */
export interface MqttDelivery {
  /** A hash of the client id and the subscription identifiers, within which a packet id identifies a message. */
  readonly source: string
  readonly packetId: number
  /** A hash of the topic and the payload. */
  readonly hash: string
}

/** A stored delivery. The receipt is different for every message that a gateway has received, also for one that is delivered again. */
export interface StoredDelivery extends MqttDelivery {
  readonly receipt: string
}

const SOURCE_LENGTH = 8
const HASH_LENGTH = 16

/** Returns what identifies a message; undefined at QoS 0, which the broker does not deliver again. */
export function deliveryOf(message: MqttMessage): MqttDelivery | undefined {
  const { origin, packetId, topic, payload, identifiers } = message
  if (packetId === undefined) return undefined
  const session = [origin.clientId, ...identifiers].join('\0')
  const source = createHash('sha256').update(session).digest('base64url').slice(0, SOURCE_LENGTH)
  // No topic contains U+0000 (MQTT 3.1.1, 4.7.3).
  const hash = createHash('sha256').update(`${topic}\0`).update(payload).digest('base64url').slice(0, HASH_LENGTH)
  return { source, packetId, hash }
}

export function deliveryId({ source, packetId, hash }: MqttDelivery): string {
  return `${source}.${packetId}.${hash}`
}

export function encodeStoredDelivery(stored: StoredDelivery): string {
  return `${deliveryId(stored)} ${stored.receipt}`
}

/** Reads the header; undefined if it is absent or not of this form. */
export function decodeStoredDelivery(header: string): StoredDelivery | undefined {
  const [, source, packetId, hash, receipt] = /^([\w-]+)\.(\d{1,5})\.([\w-]+) (\S+)$/.exec(header) ?? []
  if (source === undefined || packetId === undefined || hash === undefined || receipt === undefined) return undefined
  return { source, packetId: Number(packetId), hash, receipt }
}

/** `stored`: the stream has the message. `absent`: it has not. `unclear`: the packet id says nothing. */
export type Verdict = 'stored' | 'absent' | 'unclear'

/**
 * Compares a message that is delivered again with the newest stored messages of its device. A packet id identifies a message only until it
 * is acknowledged. Most brokers count it up to 65,535 before they use it again; a broker that uses the lowest free one gives the same
 * to successive messages, which then are in the stream several times, and an equal reading is a further one: `unclear`.
 */
export function verdictOf(delivery: MqttDelivery, newest: readonly MqttDelivery[]): Verdict {
  const same = newest.filter(({ source, packetId }) => source === delivery.source && packetId === delivery.packetId)
  if (same.length > 1) return 'unclear'
  return same[0]?.hash === delivery.hash ? 'stored' : 'absent'
}
