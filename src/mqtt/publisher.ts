import { connectAsync } from 'mqtt'

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
  const client = await connectAsync(options.brokerUrl, { clientId: options.clientId, connectTimeout: 5_000 })
  client.on('error', () => undefined)
  return {
    publish: async (topic, payload) => {
      await client.publishAsync(topic, Buffer.from(payload), { qos: 1 })
    },
    close: () => client.endAsync(),
  }
}
