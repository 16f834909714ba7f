import { z } from 'zod'
import { GatewayConfigError } from '../../src/domain/errors.ts'
import type { Gateway } from '../../src/domain/gateway.ts'

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
