import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { MqttSession } from './session.ts'
import {
  brokerAt,
  publisherTo,
  sessionWith,
  subscribe,
  type SubscribeOptions,
} from '../../test/rig/adapters/mqtt-subscription.ts'
import { freePort, type MqttAddress, type ServerControl, startMosquitto, startMqtt } from '../../test/rig/servers.ts'

const urlOf = ({ host, port }: MqttAddress): string => `mqtt://${host}:${port}`

describe.each([
  ['aedes, which speaks MQTT 3.1.1 only', startMqtt],
  ['mosquitto, which speaks MQTT 5', startMosquitto],
])('a session at %s', (_, start) => {
  let broker: MqttAddress & ServerControl
  let brokerUrl: string
  beforeAll(async () => {
    broker = await start()
    brokerUrl = urlOf(broker)
  })
  afterAll(() => broker[Symbol.asyncDispose]())

  /** Returns a subscription of one client id to a topic of the test. */
  async function subscribed({
    clientId = `test${randomUUID()}`,
    session = sessionWith({ clientId }),
    topicFilter = `${randomUUID()}/+`,
    ...options
  }: { clientId?: string; session?: MqttSession } & Partial<SubscribeOptions> = {}) {
    const place = { broker: brokerAt(brokerUrl), topicFilter, ...options }
    const subscription = subscribe((...args) => session.subscribe(...args), place)
    expect(await subscription.states.next()).toBe('subscribed')
    return { ...subscription, clientId, session, topicFilter, topic: topicFilter.replace('+', 'd1') }
  }

  it('G-8 passes topic and payload of each message in order, while earlier ones are not acknowledged', async () => {
    const { messages, topic, stop } = await subscribed()
    const publisher = await publisherTo(brokerUrl)
    const payloads = [Uint8Array.of(0, 0x67, 0, 0xff), Uint8Array.of(), Uint8Array.of(0xff, 0)]
    for (const payload of payloads) await publisher.publish(topic, payload)
    const received = await messages.take(payloads.length)
    for (const [index, { message, acknowledge }] of received.entries()) {
      expect(message).toMatchObject({ topic, dup: false, retain: false, packetId: expect.any(Number) })
      expect(Buffer.from(message.payload)).toEqual(Buffer.from(payloads[index] ?? []))
      acknowledge()
    }
    await stop()
  })

  it('G-8 redelivers messages that are not acknowledged, marked, with their packet ids, to the same client id', async () => {
    const first = await subscribed()
    const publisher = await publisherTo(brokerUrl)
    for (const text of ['1', '2', '3']) await publisher.publish(first.topic, Buffer.from(text))
    const [one, two, three] = await first.messages.take(3)
    // The acknowledgement of the third waits for that of the second.
    one?.acknowledge()
    three?.acknowledge()
    two?.fail(new Error('not stored'))
    await expect(first.ended).rejects.toThrow('not stored')

    const second = await subscribed({ clientId: first.clientId, topicFilter: first.topicFilter })
    const again = await second.messages.take(2)
    expect(again.map(({ text, message: { packetId, dup } }) => ({ text, packetId, dup }))).toEqual([
      { text: '2', packetId: two?.message.packetId, dup: true },
      { text: '3', packetId: three?.message.packetId, dup: true },
    ])
    for (const { acknowledge } of again) acknowledge()
    await second.stop()
  })

  it('G-8 counts the packet ids of a session over its connections, so that none identifies two messages', async () => {
    const first = await subscribed()
    const publisher = await publisherTo(brokerUrl)
    const packetIds: (number | undefined)[] = []
    for (const text of ['1', '2']) {
      await publisher.publish(first.topic, Buffer.from(text))
      const { message, acknowledge } = await first.messages.next()
      packetIds.push(message.packetId)
      acknowledge()
    }
    await first.stop()
    const second = await subscribed({ clientId: first.clientId, topicFilter: first.topicFilter })
    await publisher.publish(first.topic, Buffer.from('3'))
    const { message, acknowledge } = await second.messages.next()
    packetIds.push(message.packetId)
    acknowledge()
    const start = packetIds[0] ?? 0
    expect(packetIds).toEqual([0, 1, 2].map((offset) => ((start + offset - 1) % 65_535) + 1))
    await second.stop()
  })

  it('G-10 a stop waits until the messages in flight are acknowledged, so that none is delivered again', async () => {
    const first = await subscribed()
    const publisher = await publisherTo(brokerUrl)
    for (const text of ['1', '2', '3']) await publisher.publish(first.topic, Buffer.from(text))
    const received = await first.messages.take(3)
    const stopped = first.stop()
    await publisher.publish(first.topic, Buffer.from('4'))
    for (const { acknowledge } of received.toReversed()) acknowledge()
    await stopped
    expect(first.messages.waiting).toBe(0)

    const second = await subscribed({ clientId: first.clientId, topicFilter: first.topicFilter })
    const { text, acknowledge } = await second.messages.next()
    expect(text).toBe('4')
    acknowledge()
    await second.stop()
  })

  it('B-2 holds a bounded number of messages that are not acknowledged, and continues when they are', async () => {
    const { messages, topic, stop } = await subscribed()
    const publisher = await publisherTo(brokerUrl)
    const count = 300
    const published = Promise.all(
      Array.from({ length: count }, (_, i) => publisher.publish(topic, Buffer.from(`${i}`))),
    )
    const held = await messages.take(128)
    expect(messages.waiting).toBe(0)
    for (const { acknowledge } of held) acknowledge()
    const rest: string[] = []
    while (rest.length < count - held.length) {
      const { text, acknowledge } = await messages.next()
      rest.push(text)
      acknowledge()
    }
    expect([...held.map(({ text }) => text), ...rest]).toEqual(Array.from({ length: count }, (_, i) => `${i}`))
    await published
    await stop()
  })

  it('B-2 skips the payload of a packet that is too large as it arrives, and continues', async () => {
    const { messages, topic, stop } = await subscribed({ session: sessionWith({ maxPacketBytes: 100_000 }) })
    const publisher = await publisherTo(brokerUrl)
    for (const size of [99_000, 3_000_000, 10]) await publisher.publish(topic, Buffer.alloc(size))
    const received = await messages.take(3)
    expect(received.map(({ message }) => [message.topic, message.payload.length, message.omittedBytes])).toEqual([
      [topic, 99_000, 0],
      [topic, 0, 3_000_000],
      [topic, 10, 0],
    ])
    for (const { acknowledge } of received) acknowledge()
    await stop()
  })

  it('G-12 gateways of one session share a connection; each receives its own messages, one that leaves ends no other', async () => {
    const session = sessionWith()
    const first = await subscribed({ session })
    const second = await subscribed({ session, isRemoved: true })
    const publisher = await publisherTo(brokerUrl)
    await publisher.publish(first.topic, Buffer.from('first'))
    await publisher.publish(second.topic, Buffer.from('second'))
    const slow = await first.messages.next()
    const quick = await second.messages.next()
    expect([slow.text, quick.text]).toEqual(['first', 'second'])
    quick.acknowledge()
    const stopped = second.stop()
    slow.acknowledge()
    await stopped
    await publisher.publish(second.topic, Buffer.from('to none'))
    await publisher.publish(first.topic, Buffer.from('still here'))
    const { text, acknowledge } = await first.messages.next()
    expect(text).toBe('still here')
    acknowledge()
    await first.stop()
    expect([first.messages.waiting, second.messages.waiting]).toEqual([0, 0])
  })

  it('G-8 the broker keeps the messages of a gateway that stops, and forgets a gateway that is removed', async () => {
    const publisher = await publisherTo(brokerUrl)
    for (const [isRemoved, expected] of [
      [false, ['meanwhile', 'after']],
      [true, ['after']],
    ] as const) {
      const { clientId, topicFilter, topic, stop } = await subscribed({ isRemoved })
      await stop()
      await publisher.publish(topic, Buffer.from('meanwhile'))
      const again = await subscribed({ clientId, topicFilter })
      await publisher.publish(topic, Buffer.from('after'))
      const received = await again.messages.take(expected.length)
      expect(received.map(({ text }) => text)).toEqual(expected)
      for (const { acknowledge } of received) acknowledge()
      await again.stop()
    }
  })

  it('G-8 a gateway that returns to a session receives the messages that came meanwhile', async () => {
    const session = sessionWith()
    const other = await subscribed({ session })
    const first = await subscribed({ session })
    await first.stop()
    const publisher = await publisherTo(brokerUrl)
    await publisher.publish(first.topic, Buffer.from('meanwhile'))
    await publisher.publish(other.topic, Buffer.from('other'))
    const { acknowledge } = await other.messages.next()
    acknowledge()
    const again = await subscribed({ session, topicFilter: first.topicFilter })
    const meanwhile = await again.messages.next()
    expect(meanwhile.text).toBe('meanwhile')
    meanwhile.acknowledge()
    await Promise.all([again.stop(), other.stop()])
  })

  it.each([
    [true, ['retained', 'live']],
    [false, ['live']],
  ])('G-8 with "retained": %s receives the messages %j', async (retained, expected) => {
    const publisher = await publisherTo(brokerUrl)
    const topicFilter = `${randomUUID()}/+`
    const topic = topicFilter.replace('+', 'd1')
    await publisher.publish(topic, Buffer.from('retained'), { retain: true })
    const { messages, stop } = await subscribed({ topicFilter, retained })
    await publisher.publish(topic, Buffer.from('live'))
    const received = await messages.take(expected.length)
    expect(received.map(({ text }) => text)).toEqual(expected)
    for (const { acknowledge } of received) acknowledge()
    await stop()
  })

  it('G-9 subscribes again after a restart of the broker', async () => {
    const { messages, states, topic, stop } = await subscribed()
    await broker.kill()
    expect(await states.next()).toMatch(/^interrupted: /)
    await broker.start()
    let state = await states.next()
    while (state !== 'subscribed') state = await states.next()
    const publisher = await publisherTo(brokerUrl)
    await publisher.publish(topic, Buffer.from('back'))
    const { text, acknowledge } = await messages.next()
    expect(text).toBe('back')
    acknowledge()
    await stop()
  })
})

/** Returns a subscription of a session of its own. */
function subscribeAt(brokerUrl: string, topicFilter: string, session = sessionWith()) {
  return subscribe((...args) => session.subscribe(...args), { broker: brokerAt(brokerUrl), topicFilter })
}

it('G-8 a session subscribes again after its last subscriber has left, at a broker that speaks MQTT 3.1.1 only', async () => {
  const session = sessionWith()
  for (const round of [1, 2]) {
    const { states, stop } = subscribeAt(urlOf(inject('mqtt')), `${round}/+`, session)
    expect(await states.next()).toBe('subscribed')
    await stop()
  }
})

it('G-9 a session rejects when the first connection is refused', async () => {
  await expect(subscribeAt(`mqtt://127.0.0.1:${await freePort()}`, 'x/+').ended).rejects.toThrow('ECONNREFUSED')
})
