import { randomUUID } from 'node:crypto'
import { expect, inject, it, onTestFinished } from 'vitest'
import { freePort, startMosquitto, startMqtt } from '../../test/rig/servers.ts'
import { connectMqttPublisher, type MqttMessage, type MqttSubscriptionOptions, runMqttSubscription } from './client.ts'

/** A queue of values to await one by one. */
class Queue<T> {
  readonly #values: T[] = []
  readonly #takers: ((value: T) => void)[] = []

  readonly push = (value: T): void => {
    const taker = this.#takers.shift()
    if (taker) taker(value)
    else this.#values.push(value)
  }

  next(): Promise<T> {
    const value = this.#values.shift()
    return value === undefined ? new Promise((resolve) => this.#takers.push(resolve)) : Promise.resolve(value)
  }
}

const urlOf = ({ host, port }: { host: string; port: number }): string => `mqtt://${host}:${port}`

async function publisherTo(brokerUrl: string) {
  const publisher = await connectMqttPublisher({ brokerUrl, clientId: randomUUID() })
  onTestFinished(() => publisher.close())
  return publisher
}

/** Returns a subscription whose messages a test acknowledges; `stop` resolves when it has ended. */
function subscribe(options: Pick<MqttSubscriptionOptions, 'brokerUrl' | 'topicFilter' | 'clientId'>) {
  const messages = new Queue<{ message: MqttMessage; acknowledge: () => void }>()
  const states = new Queue<string>()
  const abort = new AbortController()
  const ended = runMqttSubscription(
    {
      ...options,
      onMessage: (message) => new Promise((acknowledge) => messages.push({ message, acknowledge })),
      onSubscribed: () => states.push('subscribed'),
      onConnectionLost: () => states.push('lost'),
    },
    abort.signal,
  )
  const stop = async (): Promise<void> => {
    abort.abort()
    await ended
  }
  return { messages, states, ended, stop }
}

it('G-8 the client passes topic and payload of each message in order', async () => {
  const brokerUrl = urlOf(inject('mqtt'))
  const organization = randomUUID()
  const subscription = subscribe({ brokerUrl, topicFilter: `${organization}/+`, clientId: randomUUID() })
  expect(await subscription.states.next()).toBe('subscribed')
  const publisher = await publisherTo(brokerUrl)
  const payloads = [Uint8Array.of(0, 0x67, 0, 0xff), Uint8Array.of(), Uint8Array.of(0xff, 0)]
  for (const payload of payloads) await publisher.publish(`${organization}/d1`, payload)
  for (const payload of payloads) {
    const { message, acknowledge } = await subscription.messages.next()
    expect(message.topic).toBe(`${organization}/d1`)
    expect(Buffer.from(message.payload)).toEqual(Buffer.from(payload))
    acknowledge()
  }
  await subscription.stop()
})

it('G-8 the client handles a message while earlier ones are not acknowledged', async () => {
  const brokerUrl = urlOf(inject('mqtt'))
  const organization = randomUUID()
  const subscription = subscribe({ brokerUrl, topicFilter: `${organization}/+`, clientId: randomUUID() })
  await subscription.states.next()
  const publisher = await publisherTo(brokerUrl)
  for (const text of ['1', '2', '3']) await publisher.publish(`${organization}/d1`, Buffer.from(text))
  const received = [
    await subscription.messages.next(),
    await subscription.messages.next(),
    await subscription.messages.next(),
  ]
  expect(received.map(({ message }) => Buffer.from(message.payload).toString())).toEqual(['1', '2', '3'])
  await subscription.stop()
})

async function mosquittoUrl(): Promise<string> {
  const broker = await startMosquitto()
  onTestFinished(() => broker[Symbol.asyncDispose]())
  return urlOf(broker)
}

it.each([
  ['the embedded broker', () => urlOf(inject('mqtt'))],
  ['mosquitto', mosquittoUrl],
])(
  'G-8 %s redelivers an unacknowledged message to the same client id, marked, with its packet id',
  async (_, start) => {
    const brokerUrl = await start()
    const place = { brokerUrl, topicFilter: `${randomUUID()}/+`, clientId: randomUUID() }
    const first = subscribe(place)
    await first.states.next()
    const publisher = await publisherTo(brokerUrl)
    await publisher.publish(place.topicFilter.replace('+', 'd1'), Buffer.from('held'))
    const { message: original } = await first.messages.next()
    expect(original).toMatchObject({ dup: false, packetId: expect.any(Number) })
    await publisher.publish(place.topicFilter.replace('+', 'd1'), Buffer.from('not sent yet'))
    await first.stop()

    const second = subscribe(place)
    const { message, acknowledge } = await second.messages.next()
    expect(message).toEqual({ ...original, dup: true })
    acknowledge()
    await second.stop()
  },
)

it('G-9 the client rejects when the first connection is refused', async () => {
  const brokerUrl = `mqtt://127.0.0.1:${await freePort()}`
  const subscription = subscribe({ brokerUrl, topicFilter: 'x/+', clientId: randomUUID() })
  await expect(subscription.ended).rejects.toThrow('ECONNREFUSED')
})

it('G-9 the client subscribes again after a restart of the broker', async () => {
  const broker = await startMqtt()
  onTestFinished(() => broker[Symbol.asyncDispose]())
  const subscription = subscribe({ brokerUrl: urlOf(broker), topicFilter: 'o1/+', clientId: randomUUID() })
  expect(await subscription.states.next()).toBe('subscribed')
  await broker.kill()
  expect(await subscription.states.next()).toBe('lost')
  await broker.start()
  for (let state = await subscription.states.next(); state !== 'subscribed'; state = await subscription.states.next()) {
    expect(state).toBe('lost')
  }
  const publisher = await publisherTo(urlOf(broker))
  await publisher.publish('o1/d1', Buffer.from('back'))
  const { message, acknowledge } = await subscription.messages.next()
  expect(Buffer.from(message.payload).toString()).toBe('back')
  acknowledge()
  await subscription.stop()
})
