import { expect, it } from 'vitest'
import type { MqttMessage } from '../../src/mqtt/message.ts'
import { decodeStoredDelivery, deliveryOf, encodeStoredDelivery, verdictOf } from './mqtt-delivery.ts'

const message: MqttMessage = {
  origin: { clientId: 'ponix-g1-0' },
  topic: 'o1/d1',
  payload: Buffer.from('21.5'),
  omittedBytes: 0,
  dup: false,
  packetId: 7,
  retain: false,
  identifiers: [],
}
const delivery = deliveryOf(message) ?? { source: '', packetId: 0, hash: '' }

it.each<[string, Partial<MqttMessage>]>([
  ['client id', { origin: { clientId: 'ponix-g2-0' } }],
  ['topic', { topic: 'o1/d2' }],
  ['payload', { payload: Buffer.from('21.6') }],
  ['packet id', { packetId: 8 }],
  ['subscription identifier', { identifiers: [1] }],
])('G-8: a message with another %s is another delivery', (_, change) => {
  expect(deliveryOf({ ...message, ...change })).not.toEqual(delivery)
  expect(deliveryOf({ ...message, dup: true })).toEqual(delivery)
})

it('G-8: a message at QoS 0 has no delivery that could be repeated', () => {
  expect(deliveryOf({ ...message, packetId: undefined })).toBeUndefined()
})

it('G-8: the header of a stored delivery can be read', () => {
  const stored = { ...delivery, receipt: 'r1' }
  expect(decodeStoredDelivery(encodeStoredDelivery(stored))).toEqual(stored)
  for (const other of ['', 'a.b.c d', 'a.1.c', 'a.1.c ']) expect(decodeStoredDelivery(other)).toBeUndefined()
})

const other = { ...delivery, hash: 'other' }

it.each([
  ['absent', []],
  ['stored', [delivery]],
  ['stored', [{ ...other, packetId: 6 }, delivery, { ...other, packetId: 8 }]],
  ['absent', [{ ...delivery, packetId: 6 }]],
  ['absent', [{ ...delivery, source: 'another' }]],
  // The packet id was used again for another message.
  ['absent', [other]],
  ['unclear', [delivery, delivery]],
  ['unclear', [other, delivery]],
] as const)('G-8: a message that is delivered again is %s', (verdict, newest) => {
  expect(verdictOf(delivery, newest)).toBe(verdict)
})
