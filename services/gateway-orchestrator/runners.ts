import { createHash, randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { Gateway } from '../../src/domain/entities.ts'
import { GatewayConfigError, MappingError, messageOf, PublishError } from '../../src/domain/errors.ts'
import type { GatewayRunner } from '../../src/domain/gateway-orchestration/gateway-process.ts'
import { now } from '../../src/domain/instant.ts'
import { maskSecrets } from '../../src/domain/secrets.ts'
import { type MqttMessage, runMqttSubscription } from '../../src/mqtt/client.ts'
import type { Producer } from '../../src/nats/publisher/producer.ts'
import { subjectToken } from '../../src/nats/publisher/publication.ts'
import { encodeRawEnvelope } from '../../src/proto/envelope.ts'
import type { Logger } from '../../src/runner/logger.ts'
import type { RefusedMessages } from './refused-messages.ts'

interface MqttRunnerParts {
  readonly producer: Producer
  readonly refused: RefusedMessages
  readonly rawStream: string
}

/**
 * Publishes each MQTT message of a gateway as a raw envelope. A message is acknowledged to the broker only after
 * JetStream has stored it, so it is never lost; a message that cannot be an envelope becomes a dead letter.
 */
export function mqttRunner(parts: MqttRunnerParts): GatewayRunner {
  return async ({ gateway, signal, assertOwned, succeeded, interrupted, received }) => {
    const { topicFilter, ...broker } = mqttGatewayConfig(gateway)
    const options = {
      ...broker,
      topicFilter,
      clientId: clientIdOf(gateway, topicFilter),
      onMessage: async (message: MqttMessage): Promise<void> => {
        assertOwned()
        await store(parts, gateway, message, signal)
        received()
      },
      onSubscribed: succeeded,
      onConnectionLost: interrupted,
    }
    await runMqttSubscription(options, signal)
  }
}

/**
 * Returns an id that is stable per gateway and topic, so that the broker keeps messages while the service is down. Another
 * topic needs another id because a session keeps its subscriptions.
 */
function clientIdOf({ gatewayId }: Gateway, topicFilter: string): string {
  return `ponix-${gatewayId}-${createHash('sha256').update(topicFilter).digest('hex').slice(0, 8)}`
}

async function store(
  { producer, refused, rawStream }: MqttRunnerParts,
  { gatewayId, organizationId }: Gateway,
  { topic, payload }: MqttMessage,
  signal: AbortSignal,
): Promise<void> {
  const messageId = randomUUID()
  try {
    const endDeviceId = deviceOfTopic(topic, organizationId)
    const body = encodeRawEnvelope({ organizationId, endDeviceId, payload, receivedAt: now() })
    const subject = `raw_envelopes.${subjectToken(endDeviceId)}`
    await producer.publish({ subject, body, messageId }, signal)
  } catch (error) {
    if (!isPermanent(error)) throw error
    const reason = `gateway ${gatewayId}: ${messageOf(error)}`
    const cause = error instanceof MappingError ? 'invalid_topic' : 'not_publishable'
    const origin = { service: 'gateway-orchestrator', stream: rawStream, subject: topic }
    await refused.store(organizationId, { ...origin, body: payload, messageId, reason, cause }, signal)
  }
}

/** Returns whether a redelivery by the broker would fail again. */
function isPermanent(error: unknown): boolean {
  if (error instanceof PublishError) return error.code === 'invalid' || error.code === 'too_large'
  return error instanceof MappingError
}

/** Returns the device in a topic `{organization_id}/{end_device_id}` of the gateway's organization. Throws a MappingError. */
export function deviceOfTopic(topic: string, organizationId: string): string {
  const [organization, endDeviceId, ...rest] = topic.split('/')
  if (!organization || !endDeviceId || rest.length > 0) {
    throw new MappingError(`invalid topic "${topic}": expected {organization_id}/{end_device_id}`)
  }
  if (organization !== organizationId) {
    throw new MappingError(`invalid topic "${topic}": expected the gateway's organization ${organizationId}`)
  }
  return endDeviceId
}

const SCHEMES = { 'mqtt:': 1883, 'mqtts:': 8883 } as const

const brokerUrl = z
  .string()
  .refine((url) => URL.canParse(url) && new URL(url).protocol in SCHEMES && new URL(url).hostname !== '', {
    error: 'expected mqtt://host:port or mqtts://host:port',
  })

const common = {
  username: z.string().optional(),
  password: z.string().optional(),
  ca: z.string().optional(),
  topic: z.string().min(1).optional(),
}

const schema = z.union(
  [
    z.object({ broker_url: brokerUrl, ...common }),
    z.object({ host: z.string().min(1), port: z.int().min(1).max(65_535).default(SCHEMES['mqtt:']), ...common }),
  ],
  { error: 'expected "broker_url" (mqtt://host:port or mqtts://host:port) or "host"' },
)

/**
 * Parses the broker in a gateway's config; the default topic covers the devices of its organization. Throws a GatewayConfigError
 * that names the field, without values because they may be passwords.
 */
export function mqttGatewayConfig(gateway: Gateway) {
  const parsed = schema.safeParse(gateway.gatewayConfig)
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => [...issue.path, issue.message].join(': '))
    throw new GatewayConfigError(`gateway_config: ${problems.join('; ')}`)
  }
  const { username, password, ca, topic, ...broker } = parsed.data
  return {
    brokerUrl: 'broker_url' in broker ? broker.broker_url : `mqtt://${bracketed(broker.host)}:${broker.port}`,
    username,
    password,
    ca,
    topicFilter: topic ?? `${gateway.organizationId}/+`,
  }
}

function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
}

/** Logs the gateway periodically: the simplest runner, for experiments. */
export function printRunner(logger: Logger, intervalMs: number): GatewayRunner {
  return ({ gateway, signal, succeeded }) => {
    const line = {
      gateway_id: gateway.gatewayId,
      organization_id: gateway.organizationId,
      gateway_type: gateway.gatewayType,
      gateway_config: maskSecrets(gateway.gatewayConfig),
    }
    const print = (): void => logger.info(line, 'gateway')
    return new Promise((resolve) => {
      print()
      succeeded()
      const timer = setInterval(print, intervalMs)
      const onAbort = (): void => {
        clearInterval(timer)
        resolve()
      }
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }
}
