import { connect, type IClientOptions, type IPublishPacket, type MqttClient, connectAsync } from 'mqtt'

export interface MqttMessage {
  readonly topic: string
  readonly payload: Uint8Array
  /** Whether the broker has sent the message before (MQTT 3.1.1, 3.3.1.1), on this connection of the session or an earlier one. */
  readonly dup: boolean
  /** Identifies a message in flight between the broker and this client id; undefined at QoS 0. A later message can reuse it. */
  readonly packetId: number | undefined
}

export interface MqttSubscriptionOptions {
  /** `mqtt://host:1883` or `mqtts://host:8883`. */
  readonly brokerUrl: string
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** The CA of the broker's certificate in PEM; the system's CAs by default. */
  readonly ca?: string | undefined
  /** Must be stable: the broker keeps messages at QoS 1 for it while it is disconnected. */
  readonly clientId: string
  readonly topicFilter: string
  /** Called for one message at a time, in order; the message is acknowledged to the broker when the promise resolves. */
  readonly onMessage: (message: MqttMessage) => Promise<void>
  /** Called when the broker has granted the subscription, at the start or after a reconnect. */
  readonly onSubscribed: () => void
  readonly onConnectionLost: (reason: string) => void
}

const CONNECT_TIMEOUT_MS = 10_000
const RECONNECT_PERIOD_MS = 1_000

/**
 * Subscribes at QoS 1 with a persistent session until the signal aborts. Rejects if the first connection fails, or the broker
 * rejects the client or the subscription. After the first success it reconnects automatically.
 */
export function runMqttSubscription(options: MqttSubscriptionOptions, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return resolve()
    const client = connect({ ...clientOptions(options), ...brokerOptions(options.brokerUrl) })
    let subscribed = false
    let ended = false
    let lastError: Error | null = null

    const end = (error?: unknown): void => {
      if (ended) return
      ended = true
      signal.removeEventListener('abort', onAbort)
      // The broker keeps an unacknowledged message: a closed connection sends no PUBACK.
      client.end(true, () => (error === undefined ? resolve() : reject(error)))
    }
    const onAbort = (): void => end()
    signal.addEventListener('abort', onAbort, { once: true })

    client.handleMessage = (packet, acknowledge) => deliver(options, packet, acknowledge, end)
    const onConnect = async (): Promise<void> => {
      try {
        await subscribe(client, options.topicFilter)
        subscribed = true
        options.onSubscribed()
      } catch (error) {
        // A connection lost meanwhile subscribes again after the reconnect.
        if (client.connected) end(error)
      }
    }
    client.on('connect', () => void onConnect())
    client.on('error', (error) => {
      lastError = error
      if (isRefusal(error)) end(error)
    })
    client.on('close', () => {
      if (ended) return
      const reason = lastError?.message ?? 'the connection was closed'
      if (subscribed) options.onConnectionLost(reason)
      else end(lastError ?? new Error(`no connection to ${new URL(options.brokerUrl).host}: ${reason}`))
    })
  })
}

/** Returns the options for a URL. Given the URL itself, mqtt.js calls `url.parse`, which Node 24 reports as deprecated. */
export function brokerOptions(brokerUrl: string): IClientOptions {
  const { protocol, hostname, port, username, password } = new URL(brokerUrl)
  return {
    protocol: protocol === 'mqtts:' ? 'mqtts' : 'mqtt',
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    ...(port === '' ? {} : { port: Number(port) }),
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(password === '' ? {} : { password: decodeURIComponent(password) }),
  }
}

function clientOptions(options: MqttSubscriptionOptions): IClientOptions {
  return {
    clientId: options.clientId,
    clean: false,
    connectTimeout: CONNECT_TIMEOUT_MS,
    reconnectPeriod: RECONNECT_PERIOD_MS,
    resubscribe: false,
    ...(options.username === undefined ? {} : { username: options.username }),
    ...(options.password === undefined ? {} : { password: options.password }),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  }
}

function deliver(
  options: MqttSubscriptionOptions,
  packet: IPublishPacket,
  acknowledge: (error?: Error) => void,
  end: (error: unknown) => void,
): void {
  const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload
  const { topic, dup, messageId: packetId } = packet
  options.onMessage({ topic, payload, dup, packetId }).then(() => acknowledge(), end)
}

/** Subscribes. A broker rejects with 128 in the SUBACK (MQTT 3.1.1, 3.9.3), in MQTT 5 with 128 or more. */
async function subscribe(client: MqttClient, topicFilter: string): Promise<void> {
  const grants = await client.subscribeAsync(topicFilter, { qos: 1 })
  if (grants.some((grant) => grant.qos >= 128))
    throw new Error(`the broker rejected the subscription to ${topicFilter}; check the permissions of the user`)
}

/** Returns whether the broker rejected the client: CONNACK codes (MQTT 3.1.1, 3.2.2.3) are numbers, codes of network errors names. */
function isRefusal(error: Error): boolean {
  return 'code' in error && typeof error.code === 'number'
}

/** Publishes at QoS 1: `publish` resolves when the broker acknowledged the message. */
export interface MqttPublisher {
  publish(topic: string, payload: Uint8Array): Promise<void>
  close(): Promise<void>
}

/** Connects to a broker; rejects if the first connection fails. Reconnects automatically afterwards. */
export async function connectMqttPublisher(options: {
  readonly brokerUrl: string
  readonly clientId: string
}): Promise<MqttPublisher> {
  const client = await connectAsync({
    ...brokerOptions(options.brokerUrl),
    clientId: options.clientId,
    connectTimeout: 5_000,
  })
  client.on('error', () => undefined)
  return {
    publish: async (topic, payload) => {
      await client.publishAsync(topic, Buffer.from(payload), { qos: 1 })
    },
    close: () => client.endAsync(),
  }
}
