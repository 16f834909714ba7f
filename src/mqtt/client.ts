import { connect, type IClientOptions, type IPublishPacket, type MqttClient, connectAsync } from 'mqtt'

export interface MqttMessage {
  readonly topic: string
  readonly payload: Uint8Array
}

export interface MqttSubscriptionOptions {
  /** `mqtt://host:1883` or `mqtts://host:8883`. */
  readonly brokerUrl: string
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** PEM of the authority that signed the broker's certificate, where the system does not know it. */
  readonly ca?: string | undefined
  /** The same for the same subscriber, always: the broker keeps what arrives at QoS 1 while it is away. */
  readonly clientId: string
  readonly topicFilter: string
  /** The broker gets its acknowledgement after this resolves; one message at a time, in the order of the broker. */
  readonly onMessage: (message: MqttMessage) => Promise<void>
  /** Connected, and the broker granted the subscription; also after each reconnection. */
  readonly onSubscribed: () => void
  readonly onConnectionLost: (reason: string) => void
}

const CONNECT_TIMEOUT_MS = 10_000
const RECONNECT_PERIOD_MS = 1_000

/**
 * Subscribes at QoS 1 with a session that outlives the connection, until the signal aborts. Rejects if the broker cannot be
 * reached the first time, refuses the client or refuses the subscription; after the first success it reconnects by itself.
 */
export function runMqttSubscription(options: MqttSubscriptionOptions, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return resolve()
    const client = connect({ ...clientOptions(options), ...brokerOptions(options.brokerUrl) })
    let subscribed = false
    let ended = false
    let lastError: Error | null = null

    const end = (error: Error | null): void => {
      if (ended) return
      ended = true
      signal.removeEventListener('abort', onAbort)
      // An unacknowledged message stays with the broker: a closed connection sends no PUBACK.
      client.end(true, () => (error ? reject(error) : resolve()))
    }
    const onAbort = (): void => end(null)
    signal.addEventListener('abort', onAbort, { once: true })

    client.handleMessage = (packet, acknowledge) => deliver(options, packet, acknowledge, end)
    const onConnect = async (): Promise<void> => {
      try {
        await subscribe(client, options.topicFilter)
        subscribed = true
        options.onSubscribed()
      } catch (error) {
        // A connection that broke meanwhile subscribes again when it is back.
        if (client.connected) end(errorOf(error))
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
      else end(lastError ?? new Error(`no connection to ${brokerAddress(options.brokerUrl)}: ${reason}`))
    })
  })
}

/** The options that mqtt.js reads from a URL; given the URL, it calls `url.parse`, which Node 24 reports as deprecated. */
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
  end: (error: Error) => void,
): void {
  const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload
  options.onMessage({ topic: packet.topic, payload }).then(
    () => acknowledge(),
    (error: unknown) => end(errorOf(error)),
  )
}

/** A broker says no with 128 in the SUBACK (MQTT 3.1.1, 3.9.3), with 128 and above in MQTT 5. */
async function subscribe(client: MqttClient, topicFilter: string): Promise<void> {
  const grants = await client.subscribeAsync(topicFilter, { qos: 1 })
  if (grants.some((grant) => grant.qos >= 128)) throw new Error(`the broker refused the subscription to ${topicFilter}`)
}

/** CONNACK return codes 1 to 5 (MQTT 3.1.1, 3.2.2.3) come as numbers, failures of the network as names such as ECONNREFUSED. */
function isRefusal(error: Error): boolean {
  return 'code' in error && typeof error.code === 'number'
}

function errorOf(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}

/** Host and port of a broker's URL, without its credentials. */
function brokerAddress(brokerUrl: string): string {
  return new URL(brokerUrl).host
}

/** Publishes at QoS 1: `publish` resolves when the broker has taken the message. */
export interface MqttPublisher {
  publish(topic: string, payload: Uint8Array): Promise<void>
  close(): Promise<void>
}

/** Connects to a broker; rejects if it does not answer. Reconnects by itself afterwards. */
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
