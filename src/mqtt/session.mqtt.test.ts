import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { brokerAt, publisherTo, sessionAt, subscribe } from '../../test/rig/adapters/mqtt-subscription.ts'
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
  async function subscribed({ clientId = randomUUID(), filter = `${randomUUID()}/+`, retained = false } = {}) {
    const subscription = subscribe(sessionAt(brokerAt(brokerUrl), clientId), filter, { retained })
    expect(await subscription.states.next()).toBe('subscribed')
    return { ...subscription, clientId, filter, topic: filter.replace('+', 'd1') }
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

    const second = await subscribed(first)
    const again = await second.messages.take(2)
    expect(again.map(({ text, message: { packetId, dup } }) => ({ text, packetId, dup }))).toEqual([
      { text: '2', packetId: two?.message.packetId, dup: true },
      { text: '3', packetId: three?.message.packetId, dup: true },
    ])
    for (const { acknowledge } of again) acknowledge()
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

    const second = await subscribed(first)
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
    const filter = `${randomUUID()}/+`
    const session = sessionAt(brokerAt(brokerUrl), randomUUID(), 100_000)
    const { messages, states, stop } = subscribe(session, filter)
    await states.next()
    const publisher = await publisherTo(brokerUrl)
    const topic = filter.replace('+', 'd1')
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

it('G-8 a session remembers that its broker speaks MQTT 3.1.1 only', async () => {
  const brokerUrl = urlOf(inject('mqtt'))
  const session = sessionAt(brokerAt(brokerUrl))
  for (const round of [1, 2]) {
    const { states, stop } = subscribe(session, `${round}/+`)
    expect(await states.next()).toBe('subscribed')
    await stop()
  }
})

it('G-9 a session rejects when the first connection is refused', async () => {
  const session = sessionAt(brokerAt(`mqtt://127.0.0.1:${await freePort()}`))
  await expect(subscribe(session, 'x/+').ended).rejects.toThrow('ECONNREFUSED')
})
