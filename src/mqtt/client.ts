import { connectAsync } from 'mqtt'
import { brokerAddress } from './broker.ts'

/** Publishes at QoS 1: `publish` resolves when the broker acknowledged the message. */
export interface MqttPublisher {
  publish(topic: string, payload: Uint8Array, options?: { readonly retain: boolean }): Promise<void>
  close(): Promise<void>
}

/** Connects to a broker; rejects if the first connection fails. Reconnects automatically afterwards. */
export async function connectMqttPublisher(options: {
  readonly brokerUrl: string
  readonly clientId: string
}): Promise<MqttPublisher> {
  const client = await connectAsync({
    ...brokerAddress(options.brokerUrl),
    clientId: options.clientId,
    connectTimeout: 5_000,
  })
  client.on('error', () => undefined)
  return {
    publish: async (topic, payload, { retain } = { retain: false }) => {
      await client.publishAsync(topic, Buffer.from(payload), { qos: 1, retain })
    },
    close: () => client.endAsync(),
  }
}
