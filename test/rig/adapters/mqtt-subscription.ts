import { randomUUID } from 'node:crypto'
import { onTestFinished } from 'vitest'
import type { GatewayBroker } from '../../../src/domain/gateway-config.ts'
import { BrokerVersions } from '../../../src/mqtt/broker-versions.ts'
import { connectMqttPublisher, type MqttPublisher } from '../../../src/mqtt/client.ts'
import type { MqttMessage } from '../../../src/mqtt/message.ts'
import { MqttSession } from '../../../src/mqtt/session.ts'

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

  /** Returns the values that no call of `next` waited for. */
  get waiting(): number {
    return this.#values.length
  }

  async take(count: number): Promise<readonly T[]> {
    const taken: T[] = []
    while (taken.length < count) taken.push(await this.next())
    return taken
  }
}

/** A message, and how a test ends its handling. */
export interface Received {
  readonly message: MqttMessage
  readonly text: string
  readonly acknowledge: () => void
  readonly fail: (error: Error) => void
}

export function brokerAt(brokerUrl: string, change: Partial<GatewayBroker> = {}): GatewayBroker {
  return {
    brokerUrl,
    username: undefined,
    password: undefined,
    ca: undefined,
    cert: undefined,
    key: undefined,
    ...change,
  }
}

export function sessionAt(
  broker: GatewayBroker,
  clientId: string = randomUUID(),
  maxPacketBytes = 1024 * 1024,
): MqttSession {
  return new MqttSession({ broker, clientId, versions: new BrokerVersions(), maxPacketBytes: () => maxPacketBytes })
}

/** Returns a subscription whose messages a test acknowledges; `stop` resolves when it has ended. */
export function subscribe(session: MqttSession, topicFilter: string, { retained = false } = {}) {
  const messages = new Queue<Received>()
  const states = new Queue<string>()
  const abort = new AbortController()
  const onMessage = (message: MqttMessage): Promise<void> =>
    new Promise((acknowledge, fail) => {
      messages.push({ message, text: Buffer.from(message.payload).toString(), acknowledge, fail })
    })
  const onSubscribed = (): void => states.push('subscribed')
  const onInterrupted = (reason: string): void => states.push(`interrupted: ${reason}`)
  const listener = { onMessage, mayFinish: () => true, onSubscribed, onInterrupted }
  const ended = session.subscribe({ topicFilter, retained, ...listener }, abort.signal)
  ended.catch(() => undefined)
  const stop = async (): Promise<void> => {
    abort.abort()
    await ended
  }
  onTestFinished(() => abort.abort())
  return { messages, states, ended, stop }
}

export async function publisherTo(brokerUrl: string): Promise<MqttPublisher> {
  const publisher = await connectMqttPublisher({ brokerUrl, clientId: randomUUID() })
  onTestFinished(() => publisher.close())
  return publisher
}
