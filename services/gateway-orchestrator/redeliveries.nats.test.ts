import { randomUUID } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { afterAll, beforeAll, beforeEach, expect, inject, it } from 'vitest'
import type { MqttMessage } from '../../src/mqtt/message.ts'
import type { NatsClient } from '../../src/nats/connection.ts'
import { createProducer, type Producer } from '../../src/nats/publisher/producer.ts'
import { ensureStreams } from '../../src/nats/streams.ts'
import { connectTo } from '../../test/rig/adapters/nats-client.ts'
import { Redeliveries } from './redeliveries.ts'

const WINDOW_MS = 60_000
const { signal } = new AbortController()
setMaxListeners(0, signal)

let client: NatsClient
/** The name of the test's own stream. */
let stream = ''
let producer: Producer

beforeAll(async () => {
  client = await connectTo(inject('nats').url)
})
afterAll(() => client.drain())

beforeEach(() => begin(WINDOW_MS))

/** Creates an empty stream with this duplicate window. */
async function begin(duplicateWindowMs: number): Promise<void> {
  stream = `redeliveries-${randomUUID()}`
  await ensureStreams(client, [{ name: stream, subjects: [`${stream}.>`], duplicateWindowMs }])
  producer = createProducer(client)
}

/** A connection of a process to a broker; deliveries of one client id have the same identity in all of them. */
function connect(redeliveries = new Redeliveries(client, producer, stream)) {
  const origin = { clientId: 'c1' }
  return (packetId: number, text: string, { dup = false, device = 'd1', identifiers = [1] } = {}): Promise<void> => {
    const payload = Buffer.from(text)
    const common = { omittedBytes: 0, retain: false, identifiers }
    const message: MqttMessage = { origin, topic: `o1/${device}`, payload, packetId, dup, ...common }
    return redeliveries.store(message, { subject: `${stream}.${device}`, body: payload }, signal)
  }
}

const again = { dup: true }

async function stored(): Promise<readonly string[]> {
  const { last_seq } = (await client.manager.streams.info(stream)).state
  const sequences = Array.from({ length: last_seq }, (_, index) => index + 1)
  const messages = await Promise.all(sequences.map((seq) => client.manager.streams.getMessage(stream, { seq })))
  return messages.map((message) => message?.string() ?? '')
}

/** Resolves when the newest message of the stream is older than this. */
async function untilOlder(ageMs: number): Promise<void> {
  const { last_ts: at } = (await client.manager.streams.info(stream)).state
  await expect.poll(() => Date.now()).toBeGreaterThan(new Date(at).getTime() + ageMs)
}

it('G-8: a message that is delivered again after the duplicate window is stored once', async () => {
  await begin(100)
  const first = connect()
  for (let packetId = 1; packetId <= 5; packetId += 1) await first(packetId, 'equal')
  await untilOlder(200)
  const one = await client.manager.streams.getMessage(stream, { seq: 1 })
  expect(one?.header.get('Ponix-Mqtt')).toMatch(/^\S+\.1\.\S+ \S+$/)

  const second = connect()
  for (let packetId = 3; packetId <= 5; packetId += 1) await second(packetId, 'equal', again)
  expect(await stored()).toEqual(['equal', 'equal', 'equal', 'equal', 'equal'])
  await second(6, 'never stored', again)
  expect(await stored()).toHaveLength(6)
})

it('G-8: a message is stored once although it waits for its acknowledgement longer than the look-up of recent messages covers', async () => {
  await begin(100)
  const first = connect()
  await first(1, 'a')
  await untilOlder(200)
  await first(2, 'b')
  const second = connect(new Redeliveries(client, producer, stream, 100))
  await Promise.all([
    second(1, 'a', again),
    second(2, 'b', again),
    second(3, 'c', again),
    second(4, 'd', again),
    second(5, 'e'),
  ])
  expect(await stored()).toEqual(['a', 'b', 'c', 'd', 'e'])
})

it('G-8: with MQTT 3.1.1 a redelivered message is stored if an equal one had its packet id longer ago', async () => {
  await begin(100)
  const first = connect()
  await first(1, 'a', { identifiers: [] })
  await untilOlder(200)
  await first(2, 'b', { identifiers: [] })
  await connect(new Redeliveries(client, producer, stream, 100))(1, 'a', { identifiers: [], dup: true })
  expect(await stored()).toEqual(['a', 'b', 'a'])
})

it('G-8: a message without DUP is stored, also if the broker uses its packet id again for an equal one', async () => {
  const first = connect()
  for (let reading = 0; reading < 3; reading += 1) await first(1, 'equal')
  expect(await stored()).toEqual(['equal', 'equal', 'equal'])
  // Such a packet id identifies no message: a second row instead of a lost one.
  await connect()(1, 'equal', again)
  expect(await stored()).toHaveLength(4)
})

it('G-8: a redelivered message is stored if an equal one had its packet id before the subscription was renewed', async () => {
  await connect()(1, 'equal', { identifiers: [1] })
  await connect()(1, 'equal', { identifiers: [2], dup: true })
  expect(await stored()).toEqual(['equal', 'equal'])
  await connect()(1, 'equal', { identifiers: [2], dup: true })
  expect(await stored()).toHaveLength(2)
})

it('G-8: a message that is delivered again while the first delivery waits is stored once, by whichever process', async () => {
  const [first, second] = [connect(), connect()]
  await Promise.all([first(1, 'a'), second(1, 'a', again), first(2, 'b'), second(2, 'b', again)])
  expect(await stored()).toEqual(['a', 'b'])
  await Promise.all([second(3, 'c', again), connect()(3, 'c', again)])
  expect(await stored()).toEqual(['a', 'b', 'c'])
})

it('G-8: a first delivery that arrives after the second one was stored is suppressed', async () => {
  await connect()(1, 'a', again)
  const second = await client.manager.streams.getMessage(stream, { seq: 1 })
  // From a process that was killed: the same message id.
  await client.jetstream.publish(`${stream}.d1`, 'a', second === null ? {} : { headers: second.header })
  expect(await stored()).toEqual(['a'])
})

it('G-8: messages of a device stay in their order while those before them are looked up', async () => {
  await connect()(1, '1')
  const second = connect()
  await Promise.all([
    second(1, '1', again),
    second(2, '2', again),
    second(3, '3', again),
    second(4, '4'),
    second(5, '5'),
  ])
  expect(await stored()).toEqual(['1', '2', '3', '4', '5'])
})

it('G-8: after a reconnect each device is looked up at most twice, however many of its messages are delivered again', async () => {
  const devices = Array.from({ length: 500 }, (_, number) => `device${number}`)
  const first = connect()
  await Promise.all(
    devices.flatMap((device, index) => [first(index + 1, 'a', { device }), first(index + 501, 'b', { device })]),
  )
  let lookUps = 0
  const counting = client.connection.subscribe(`$JS.API.STREAM.MSG.GET.${stream}`, {
    callback: () => void (lookUps += 1),
  })
  const second = connect()
  const deliverAgain = (device: string, index: number) => [
    second(index + 1, 'a', { device, dup: true }),
    second(index + 501, 'b', { device, dup: true }),
    second(index + 1001, 'c', { device, dup: true }),
  ]
  await Promise.all(devices.flatMap(deliverAgain))
  await client.connection.flush()
  counting.unsubscribe()
  expect(lookUps).toBe(1000)
  expect((await client.manager.streams.info(stream)).state.messages).toBe(1500)
})
