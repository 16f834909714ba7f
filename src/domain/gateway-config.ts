import { z } from 'zod'
import { editDistance } from './edit-distance.ts'
import type { Gateway, JsonObject } from './entities.ts'
import { GatewayConfigError } from './errors.ts'
import { invalid } from './fields.ts'
import { filtersOverlap, isTopicFilter } from './gateway-topics/topic-filter.ts'

/** The default port of each scheme of a broker's URL. */
export const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'mqtt:': 1883, 'mqtts:': 8883 }
const MAX_PORT = 65_535

/** A level of a topic without wildcards. */
const LEVEL = /^[^+#\0/]+$/

/** The longest string of MQTT, in bytes of UTF-8 (MQTT 3.1.1, 1.5.3), and the longest name of DNS. */
const MAX_MQTT_BYTES = 65_535
const MAX_HOST_LENGTH = 253

function fitsMqtt(text: string): boolean {
  return Buffer.byteLength(text) <= MAX_MQTT_BYTES
}

function credential() {
  return z.string().refine(fitsMqtt, { error: 'expected at most 65,535 bytes (UTF-8)' }).optional()
}

/** Returns the user and the password of a URL; undefined if they are not percent-encoded. */
function urlCredentials(url: string): readonly [username: string, password: string] | undefined {
  const { username, password } = new URL(url)
  try {
    return [decodeURIComponent(username), decodeURIComponent(password)]
  } catch {
    return undefined
  }
}

/** Text in PEM (RFC 7468) with a block whose label ends in `label`; whether it can be used shows the first connection. */
function pem(label: string) {
  const block = new RegExp(`-----BEGIN [A-Z ]*${label}-----[^]+-----END [A-Z ]*${label}-----`)
  return z.string().regex(block, { error: `expected PEM: -----BEGIN ${label}-----` })
}

const broker = {
  broker_url: z
    .string()
    .refine((url) => URL.canParse(url) && new URL(url).protocol in DEFAULT_PORTS && new URL(url).hostname !== '', {
      error: 'expected mqtt://host:port or mqtts://host:port',
      abort: true,
    })
    .refine((url) => new URL(url).hostname.length <= MAX_HOST_LENGTH, {
      error: `expected a host of at most ${MAX_HOST_LENGTH} characters`,
    })
    .refine((url) => urlCredentials(url)?.[0].includes('\0') === false, {
      error: 'expected a user and a password that are percent-encoded, and no NUL character in the user',
    })
    .refine((url) => urlCredentials(url)?.every(fitsMqtt) !== false, {
      error: 'expected a user and a password of at most 65,535 bytes (UTF-8)',
    })
    .optional(),
  host: z
    .string()
    .max(MAX_HOST_LENGTH, { error: `expected at most ${MAX_HOST_LENGTH} characters` })
    .refine((host) => URL.canParse(`mqtt://${bracketed(host)}:1`) && !/[/@?#]/.test(host), {
      error: 'expected a host name or an IP address, without scheme and port',
    })
    .optional(),
  port: z.int().min(1).max(MAX_PORT).optional(),
  username: credential(),
  password: credential(),
  ca: pem('CERTIFICATE').optional(),
  cert: pem('CERTIFICATE').optional(),
  key: pem('PRIVATE KEY').optional(),
}

const topic = z
  .string()
  .refine(isTopicFilter, { error: 'expected an MQTT topic filter such as {organization_id}/+', abort: true })
  .optional()
const applicationId = z
  .string()
  .max(255)
  .regex(LEVEL, { error: 'expected the id of an application, without / + and #' })
  .optional()

/** MQTT 3.1.1 does not permit it (3.1.2.9). A stored URL may have the user. */
export const NO_USERNAME = 'expected a "username" for "password"'

/** What a config that is written must fulfil as well; stored gateways run without it. */
const writtenUrl = broker.broker_url
  .refine((url) => url === undefined || (new URL(url).username === '' && new URL(url).password === ''), {
    error: 'expected a URL without user and password; use "username" and "password"',
  })
  .refine((url) => url === undefined || /^\w+:\/\/[^/?#]*\/?$/.test(url.trim()), {
    error: 'expected a URL without a path: MQTT has none',
  })

/** A filter without empty levels that matches topics of the organization; the gateway would refuse the messages of all other topics. */
function writtenTopic(organizationId: string) {
  const own = defaultFilter(organizationId)
  return topic
    .refine((filter) => filter?.split('/').includes('') !== true, {
      error: 'expected levels that are not empty, as in {organization_id}/{end_device_id}',
      abort: true,
    })
    .refine((filter) => filter === undefined || filtersOverlap(filter, own), {
      error: `expected a filter that matches ${organizationId}/{end_device_id}, such as ${own}`,
    })
}

/** The filter of all topics of an organization: `{organization_id}/{end_device_id}`. */
function defaultFilter(organizationId: string): string {
  return `${organizationId}/+`
}

/** The keys of each type of gateway; `emqx` is another name of `mqtt`. A printer has any keys. */
export const GATEWAY_CONFIG_KEYS = {
  mqtt: { ...broker, topic, retained: z.boolean().optional() },
  emqx: { ...broker, topic, retained: z.boolean().optional() },
  chirpstack: { ...broker, application_id: applicationId },
  ttn: { ...broker, application_id: applicationId },
  print: null,
} as const

export type GatewayType = keyof typeof GATEWAY_CONFIG_KEYS
export type BrokerType = Exclude<GatewayType, 'print'>

interface BrokerKeys {
  readonly broker_url?: string | undefined
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

/** Requires an address of the broker, and a client certificate that is complete and can be used; other issues are reported before. */
function withBroker<T extends z.ZodType<BrokerKeys>>(schema: T): T {
  return schema
    .refine(
      ({ broker_url: url, host }) => (url === undefined) !== (host === undefined),
      'expected "broker_url" (mqtt://host:port or mqtts://host:port) or "host"',
    )
    .refine(
      ({ cert, key }) => (cert === undefined) === (key === undefined),
      'expected both "cert" and "key", or neither',
    )
    .refine(
      ({ broker_url: url, cert }) => cert === undefined || /^mqtts:/i.test(url ?? ''),
      'expected a "broker_url" with mqtts:// for "cert" and "key"',
    )
}

const lenient = {
  mqtt: withBroker(z.object(GATEWAY_CONFIG_KEYS.mqtt)),
  network: withBroker(z.object(GATEWAY_CONFIG_KEYS.chirpstack)),
} as const

/** Returns the type of a gateway, in any case; undefined for an unknown type. */
export function gatewayTypeOf(name: string): GatewayType | undefined {
  const type = name.toLowerCase()
  return isGatewayType(type) ? type : undefined
}

function isGatewayType(type: string): type is GatewayType {
  return Object.hasOwn(GATEWAY_CONFIG_KEYS, type)
}

/** The organization decides which topics are possible. */
type CheckedGateway = Pick<Gateway, 'organizationId' | 'gatewayType' | 'gatewayConfig'>

/**
 * Throws `invalid_argument` for an unknown type, and for a config that has a wrong or an unknown key. An empty config passes: the
 * gateway does not run until it has one.
 */
export function checkGatewayConfig({ organizationId, gatewayType, gatewayConfig }: CheckedGateway): void {
  const type = gatewayTypeOf(gatewayType)
  if (type === undefined) {
    const types = Object.keys(GATEWAY_CONFIG_KEYS).join(', ')
    throw invalid(`gateway_type must be one of ${types}, not ${JSON.stringify(gatewayType)}`)
  }
  const keys = GATEWAY_CONFIG_KEYS[type]
  if (keys === null || Object.keys(gatewayConfig).length === 0) return
  const checked = writtenSchema(keys, organizationId).safeParse(gatewayConfig)
  if (!checked.success) throw invalid(problemsOf(checked.error, Object.keys(keys)))
}

function writtenSchema(keys: NonNullable<(typeof GATEWAY_CONFIG_KEYS)[GatewayType]>, organizationId: string) {
  const topicKey = 'topic' in keys ? { topic: writtenTopic(organizationId) } : {}
  const written = { ...keys, broker_url: writtenUrl, ...topicKey }
  return withBroker(z.strictObject(written))
    .refine(({ port, broker_url: url }) => port === undefined || url === undefined, {
      error: 'expected the port in "broker_url"; "port" belongs to "host"',
      path: ['port'],
    })
    .refine(({ username, password }) => password === undefined || username !== undefined, NO_USERNAME)
}

/** The broker of a gateway. */
export interface GatewayBroker {
  readonly brokerUrl: string
  readonly username: string | undefined
  readonly password: string | undefined
  readonly ca: string | undefined
  /** The client certificate and its key in PEM; both or none. */
  readonly cert: string | undefined
  readonly key: string | undefined
}

export type GatewayBrokerConfig = GatewayBroker & {
  /** The topic filter of the config, or of its application; the default is everything that is the gateway's own. */
  readonly topicFilter: string
  /** Whether messages that the broker had retained before the subscription are stored, too. */
  readonly retained: boolean
}

/**
 * Parses the config of a gateway that subscribes to a broker, ignoring unknown keys. Throws a GatewayConfigError that names the key,
 * without values because they may be passwords.
 */
export function gatewayBrokerConfig(
  type: BrokerType,
  { organizationId, gatewayConfig }: Pick<Gateway, 'organizationId' | 'gatewayConfig'>,
): GatewayBrokerConfig {
  if (type === 'mqtt' || type === 'emqx') {
    const config = parsed(lenient.mqtt, gatewayConfig)
    return {
      ...brokerOf(config),
      topicFilter: config.topic ?? defaultFilter(organizationId),
      retained: config.retained ?? false,
    }
  }
  const config = parsed(lenient.network, gatewayConfig)
  const application = config.application_id ?? '+'
  const topicFilter =
    type === 'chirpstack' ? `application/${application}/device/+/event/up` : `v3/${application}/devices/+/up`
  return { ...brokerOf(config), topicFilter, retained: false }
}

function parsed<T extends z.ZodType>(schema: T, config: JsonObject): z.output<T> {
  const result = schema.safeParse(config)
  if (!result.success) throw new GatewayConfigError(problemsOf(result.error))
  return result.data
}

function brokerOf(config: BrokerKeys): GatewayBroker {
  const { broker_url: url, host = '', port = DEFAULT_PORTS['mqtt:'], username, password, ca, cert, key } = config
  return { brokerUrl: url ?? `mqtt://${bracketed(host)}:${port}`, username, password, ca, cert, key }
}

function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
}

const MAX_PROBLEMS = 5
const MAX_KEY_LENGTH = 40

/** Names each key that is wrong, without values. Few and short, because an error must fit into the headers of a response. */
function problemsOf(error: z.ZodError, keys: readonly string[] = []): string {
  const problems = error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => `${key.slice(0, MAX_KEY_LENGTH)}: unknown key; ${keyHint(key, keys)}`)
      : [[...issue.path, issue.message].join(': ')],
  )
  return `gateway_config: ${problems.slice(0, MAX_PROBLEMS).join('; ')}`
}

function keyHint(key: string, keys: readonly string[]): string {
  const [nearest] = keys
    .map((known) => ({ known, edits: key.length > MAX_KEY_LENGTH ? Infinity : editDistance(key.toLowerCase(), known) }))
    .filter(({ known, edits }) => edits <= Math.max(1, known.length / 3))
    .toSorted((a, b) => a.edits - b.edits)
  return nearest === undefined ? `expected one of ${keys.join(', ')}` : `did you mean "${nearest.known}"?`
}
