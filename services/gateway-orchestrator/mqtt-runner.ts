import { createHash, randomUUID } from 'node:crypto'
import { PublishError } from '../../src/domain/errors.ts'
import type { GatewayRunner } from '../../src/domain/gateway-orchestration/gateway-process.ts'
import type { Gateway } from '../../src/domain/gateway.ts'
import { now } from '../../src/domain/instant.ts'
import { type MqttMessage, runMqttSubscription } from '../../src/mqtt/subscription.ts'
import { publishRefused } from '../../src/nats/dead-letter.ts'
import { type Producer, subjectToken } from '../../src/nats/producer.ts'
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
    const onMessage = async (message: MqttMessage): Promise<void> => {
      await store(options, gateway, message, signal)
      received()
    }
    const { topicFilter, ...broker } = mqttGatewayConfig(gateway)
    const clientId = clientIdOf(gateway, topicFilter)
    const events = { onMessage, onSubscribed: succeeded, onConnectionLost: interrupted }
    await runMqttSubscription({ ...broker, topicFilter, clientId, ...events }, signal)
  }
}

/**
 * The same for the same gateway and topic, so that the broker keeps what arrives while nobody listens; another for another
 * topic, because a session would go on with the subscriptions of before.
 */
function clientIdOf({ gatewayId }: Gateway, topicFilter: string): string {
  return `ponix-${gatewayId}-${createHash('sha256').update(topicFilter).digest('hex').slice(0, 8)}`
}

async function store(
  { producer, rawStream }: MqttRunnerOptions,
  gateway: Gateway,
  { topic, payload }: MqttMessage,
  signal: AbortSignal,
): Promise<void> {
  const messageId = randomUUID()
  const refuse = (reason: string): Promise<void> => {
    const subject = topic
    const service = 'gateway-orchestrator'
    return publishRefused(producer, { service, stream: rawStream, subject, body: payload, messageId, reason }, signal)
  }
  const device = deviceOfTopic(topic, gateway.organizationId)
  if (!device.ok) return refuse(`gateway ${gateway.gatewayId}: ${device.reason}`)
  const { endDeviceId } = device
  try {
    const subject = `raw_envelopes.${subjectToken(endDeviceId)}`
    const envelope = { organizationId: gateway.organizationId, endDeviceId, payload, receivedAt: now() }
    await producer.publish({ subject, body: encodeRawEnvelope(envelope), messageId }, signal)
  } catch (error) {
    if (!(error instanceof PublishError) || !HOPELESS.has(error.code)) throw error
    await refuse(`gateway ${gateway.gatewayId}: ${error.message}`)
  }
}

/** What would be refused again, however often the broker sends it. */
const HOPELESS: ReadonlySet<string> = new Set(['invalid', 'too_large'])
