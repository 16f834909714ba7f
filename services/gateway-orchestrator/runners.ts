import { createHash, randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { Gateway } from '../../src/domain/entities.ts'
import { PublishError, GatewayConfigError } from '../../src/domain/errors.ts'
import type { GatewayRunner } from '../../src/domain/gateway-orchestration/gateway-process.ts'
import { now } from '../../src/domain/instant.ts'
import { maskSecrets } from '../../src/domain/secrets.ts'
import { type MqttMessage, runMqttSubscription } from '../../src/mqtt/client.ts'
import { publishRefused } from '../../src/nats/dead-letters.ts'
import type { Producer } from '../../src/nats/producer.ts'
import { subjectToken } from '../../src/nats/publication.ts'
import { encodeRawEnvelope } from '../../src/proto/envelope.ts'
import type { Logger } from '../../src/runner/logger.ts'

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

const SCHEMES = { 'mqtt:': 1883, 'mqtts:': 8883 } as const

const brokerUrl = z
  .string()
  .refine((url) => URL.canParse(url) && new URL(url).protocol in SCHEMES && new URL(url).hostname !== '', {
    error: 'expected mqtt://host:port or mqtts://host:port',
  })

const credentials = {
  username: z.string().optional(),
  password: z.string().optional(),
  ca: z.string().optional(),
  topic: z.string().min(1).optional(),
}

const schema = z.union(
  [
    z.object({ broker_url: brokerUrl, ...credentials }),
    z.object({ host: z.string().min(1), port: z.int().min(1).max(65_535).default(SCHEMES['mqtt:']), ...credentials }),
  ],
  { error: 'expected "broker_url" (mqtt://host:port or mqtts://host:port) or "host"' },
)

export interface MqttGatewayConfig {
  readonly brokerUrl: string
  readonly username: string | undefined
  readonly password: string | undefined
  readonly ca: string | undefined
  readonly topicFilter: string
}

/**
 * What a gateway's config says of its broker (W-7). Without a topic of its own a gateway hears its organization's devices.
 * Throws a GatewayConfigError whose text names the field; it never repeats a value, which may be a password.
 */
export function mqttGatewayConfig(gateway: Gateway): MqttGatewayConfig {
  const parsed = schema.safeParse(gateway.gatewayConfig)
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => [...issue.path, issue.message].join(': '))
    throw new GatewayConfigError(`gateway_config: ${problems.join('; ')}`)
  }
  const config = parsed.data
  return {
    brokerUrl: 'broker_url' in config ? config.broker_url : `mqtt://${bracketed(config.host)}:${config.port}`,
    username: config.username,
    password: config.password,
    ca: config.ca,
    topicFilter: config.topic ?? `${gateway.organizationId}/+`,
  }
}

function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
}

/** A topic's device, or why a message on it cannot be an envelope (W-7). */
export type DeviceTopic =
  | { readonly ok: true; readonly endDeviceId: string }
  | { readonly ok: false; readonly reason: string }

/** `{organization_id}/{end_device_id}`: exactly two segments, neither empty, the first the gateway's own organization. */
export function deviceOfTopic(topic: string, organizationId: string): DeviceTopic {
  const [organization, endDeviceId, ...rest] = topic.split('/')
  if (!organization || !endDeviceId || rest.length > 0) {
    return { ok: false, reason: `topic "${topic}" is not {organization_id}/{end_device_id}` }
  }
  if (organization !== organizationId) {
    return { ok: false, reason: `topic "${topic}" is not of the gateway's organization ${organizationId}` }
  }
  return { ok: true, endDeviceId }
}

/** Says every so often which gateway it serves: the smallest runner, for trying things out (G-8). */
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
      signal.addEventListener(
        'abort',
        () => {
          clearInterval(timer)
          resolve()
        },
        { once: true },
      )
    })
  }
}
