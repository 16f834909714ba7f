import { randomUUID } from 'node:crypto'
import type { Gateway } from '../../src/domain/gateway.ts'
import type { GatewayRunner } from '../../src/domain/gateway-orchestration/gateway-process.ts'
import { now } from '../../src/domain/instant.ts'
import { type MqttMessage, runMqttSubscription } from '../../src/mqtt/subscription.ts'
import { type Producer, type Publication, subjectToken } from '../../src/nats/producer.ts'
import { encodeRawEnvelope } from '../../src/proto/envelope.ts'
import { deviceOfTopic } from './device-topic.ts'
import { mqttGatewayConfig } from './mqtt-gateway-config.ts'

export interface MqttRunnerOptions {
  readonly producer: Producer
  readonly rawStream: string
}

/**
 * Turns each MQTT message of a gateway's devices into a raw envelope. The broker's acknowledgement waits for JetStream's, so
 * that a message is always with one of the two; what cannot be an envelope goes to the dead letters with its reason.
 */
export function mqttRunner(options: MqttRunnerOptions): GatewayRunner {
  return async ({ gateway, signal, succeeded, interrupted, received }) => {
    const { topicFilter, ...broker } = mqttGatewayConfig(gateway)
    await runMqttSubscription(
      {
        ...broker,
        topicFilter,
        clientId: `ponix-${gateway.gatewayId}`,
        onMessage: async (message) => {
          await options.producer.publish(publicationOf(gateway, message, options.rawStream), signal)
          received()
        },
        onSubscribed: succeeded,
        onConnectionLost: interrupted,
      },
      signal,
    )
  }
}

function publicationOf(gateway: Gateway, { topic, payload }: MqttMessage, rawStream: string): Publication {
  const device = deviceOfTopic(topic, gateway.organizationId)
  const messageId = randomUUID()
  const refuse = (reason: string): Publication => ({
    subject: `dead_letters.${rawStream}`,
    body: payload,
    messageId,
    headers: deadLetterHeaders(gateway, topic, rawStream, reason),
  })
  if (!device.ok) return refuse(device.reason)
  const { organizationId } = gateway
  const { endDeviceId } = device
  try {
    return {
      subject: `raw_envelopes.${subjectToken(endDeviceId)}`,
      body: encodeRawEnvelope({ organizationId, endDeviceId, payload, receivedAt: now() }),
      messageId,
    }
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error))
  }
}
