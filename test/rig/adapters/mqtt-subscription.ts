import { randomUUID } from 'node:crypto'
import { onTestFinished } from 'vitest'
import type { GatewayBroker } from '../../../src/domain/gateway-config.ts'
import { BrokerVersions } from '../../../src/mqtt/broker-versions.ts'
import { connectMqttPublisher, type MqttPublisher } from '../../../src/mqtt/client.ts'
import { InFlightBudget } from '../../../src/mqtt/in-flight-budget.ts'
import type { MqttMessage } from '../../../src/mqtt/message.ts'
import { MqttSession } from '../../../src/mqtt/session.ts'
import type { MqttSubscription } from '../../../src/mqtt/subscriber.ts'

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

export function sessionWith({
  clientId,
  maxPacketBytes = 1024 * 1024,
}: { clientId?: string; maxPacketBytes?: number } = {}): MqttSession {
  return new MqttSession({
    clientId: clientId ?? randomUUID(),
    versions: new BrokerVersions(),
    maxPacketBytes: () => maxPacketBytes,
    budget: new InFlightBudget(),
    owner: 'o1',
  })
}

export interface SubscribeOptions {
  readonly broker: GatewayBroker
  readonly topicFilter: string
  readonly retained?: boolean
  readonly isRemoved?: boolean
  readonly finishUntil?: AbortSignal
  readonly assertOwned?: () => void
}

/** Subscribes by a function such as `MqttSession.subscribe`. */
type Subscribe = (subscription: MqttSubscription, signal: AbortSignal) => Promise<void>

/** Returns a subscription whose messages a test acknowledges; `stop` resolves when it has ended. */
export function subscribe(
  by: Subscribe,
  {
    retained = false,
    isRemoved = false,
    finishUntil = new AbortController().signal,
    assertOwned = () => undefined,
    ...place
  }: SubscribeOptions,
) {
  const messages = new Queue<Received>()
  const states = new Queue<string>()
  const abort = new AbortController()
  const subscription = {
    ...place,
    assertOwned,
    retained,
    onMessage: (message: MqttMessage): Promise<void> =>
      new Promise((acknowledge, fail) => {
        messages.push({ message, text: Buffer.from(message.payload).toString(), acknowledge, fail })
      }),
    finishUntil,
    isRemoved: () => isRemoved,
    onSubscribed: () => states.push('subscribed'),
    onInterrupted: (reason: string) => states.push(`interrupted: ${reason}`),
  }
  const ended = by(subscription, abort.signal)
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
