import { z } from 'zod'
import { EnvironmentError } from '../domain/errors.ts'
import { isSecretName, maskUrlSecrets, maskValue } from '../domain/secrets.ts'

/** Variables by name, as in `process.env`. */
type Variables = Readonly<Record<string, string | undefined>>

/**
 * The parsed variables of a schema whose keys are variable names. A variable in seconds, `X_SECS`, is parsed to milliseconds
 * under the name `X_MS`.
 */
export type Environment<Schema extends z.ZodObject> = Parsed<z.infer<Schema>>

type Parsed<Values> = {
  [Name in keyof Values as Name extends `${infer Start}_SECS` ? `${Start}_MS` : Name]: Values[Name]
}

/**
 * Parses the environment. Throws an EnvironmentError with all problems, each with the variable, the given value
 * (unless it is a secret) and the expectation. An empty variable counts as not set.
 */
export function parseEnvironment<Schema extends z.ZodObject>(schema: Schema, env: Variables): Environment<Schema> {
  const given = setVariables(schema, env)
  const result = schema.safeParse(given)
  if (!result.success) throw new EnvironmentError(result.error.issues.map((issue) => describeIssue(issue, given)))
  const entries = Object.entries(result.data).map(([name, value]) => [name.replace(/_SECS$/, '_MS'), value])
  return Object.fromEntries(entries)
}

/** Renders `NAME=value` for every variable of the schema, given or default, secrets masked. */
export function describeEnvironment(schema: z.ZodObject, env: Variables): string {
  const given = setVariables(schema, env)
  // Defaults before transformation, so that the printed values can be set again.
  const { properties = {} } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  return Object.entries(properties)
    .map(([name, property]) => {
      const fallback = typeof property === 'object' ? property.default : undefined
      const value = given[name] ?? z.coerce.string().optional().parse(fallback)
      return value === undefined ? `# ${name} is not set\n` : `${name}=${maskValue(name, value)}\n`
    })
    .join('')
}

function setVariables(schema: z.ZodObject, env: Variables): Record<string, string> {
  const given: Record<string, string> = {}
  for (const name of Object.keys(schema.shape)) {
    const value = env[name]
    if (value !== undefined && value !== '') given[name] = value
  }
  return given
}

function describeIssue(issue: z.core.$ZodIssue, given: Readonly<Record<string, string>>): string {
  const name = String(issue.path[0] ?? 'the environment')
  const value = given[name]
  if (value === undefined && issue.code === 'invalid_type') return `${name} is not set; set it`
  const expected = maskUrlSecrets(issue.message)
  if (value === undefined) return `${name}: ${expected}`
  return isSecretName(name) ? `${name}: ${expected}` : `${name}=${JSON.stringify(maskUrlSecrets(value))}: ${expected}`
}

/** Returns the schema of a whole number, `min` to `max`. */
export function integer(min: number, max: number) {
  const expected = `expected a whole number from ${min} to ${max}`
  return z
    .string()
    .regex(/^-?\d{1,15}$/, expected)
    .transform(Number)
    .refine((value) => value >= min && value <= max, expected)
}

/** Returns the schema of seconds, parsed to milliseconds. Fractions are allowed. */
export function seconds(min: number, max: number) {
  const expected = `expected a number of seconds from ${min} to ${max}`
  return z
    .string()
    .regex(/^\d{1,12}(\.\d{1,6})?$/, expected)
    .transform(Number)
    .refine((value) => value >= min && value <= max, expected)
    .transform((value) => Math.round(value * 1000))
}

/** Returns the schema of a TCP port. */
export function port() {
  return integer(1, 65_535)
}

/** Returns the schema of a URL with one of these schemes, such as `http`. */
export function url(...schemes: readonly string[]) {
  return z.string().refine((value) => isUrl(value, schemes), `expected a URL like ${examples(schemes)}`)
}

/** Returns the schema of one or more URLs separated by commas: the servers of a cluster. */
function urls(...schemes: readonly string[]) {
  return z
    .string()
    .refine(
      (value) => value.split(',').every((part) => isUrl(part.trim(), schemes)),
      `expected a URL like ${examples(schemes)}, or several separated by commas`,
    )
}

function examples(schemes: readonly string[]): string {
  return schemes.map((scheme) => `${scheme}://host:port`).join(' or ')
}

function isUrl(text: string, schemes: readonly string[]): boolean {
  if (!URL.canParse(text)) return false
  const { hostname, protocol } = new URL(text)
  return hostname !== '' && schemes.some((scheme) => protocol === `${scheme}:`)
}

/** Returns the schema of the name of a JetStream stream or durable consumer. */
export function natsName() {
  return z.string().regex(/^[A-Za-z0-9_-]{1,128}$/, 'expected 1 to 128 letters, digits, _ or -')
}

/** Returns the schema of host names separated by commas, without ports; parsed to a list in lower case. */
function hostNames() {
  return z
    .string()
    .transform((value) =>
      value
        .toLowerCase()
        .split(',')
        .map((name) => name.trim())
        .filter((name) => name !== ''),
    )
    .refine(
      (names) => names.every((name) => URL.canParse(`http://${name}`) && new URL(`http://${name}`).host === name),
      'expected host names without ports, separated by commas',
    )
}

/** The variables of the logger. */
export const loggerEnvironment = {
  PONIX_LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
      error: 'expected trace, debug, info, warn, error, fatal or silent',
    })
    .default('info'),
  PONIX_LOG_FORMAT: z.enum(['text', 'json'], { error: 'expected text or json' }).optional(),
}

/** Variables of every service, to spread into the schema of a service like the fragments below. */
export const commonEnvironment = {
  ...loggerEnvironment,
  PONIX_STARTUP_TIMEOUT_SECS: seconds(0, 86_400).prefault('30'),
  /** Names by which the HTTP port may be requested, beside those of loopback: those of a proxy. */
  PONIX_HTTP_ALLOWED_HOSTS: hostNames().prefault(''),
}

/** Ten years. */
const MAX_AGE_SECS = 315_360_000

/** The NATS server, the streams with their limits, and the batches of consumers. */
export const natsEnvironment = {
  PONIX_NATS_URL: urls('nats', 'tls').default('nats://localhost:4222'),
  PONIX_NATS_RAW_STREAM: natsName().default('raw_envelopes'),
  PONIX_PROCESSED_ENVELOPES_STREAM: natsName().default('processed_envelopes'),
  PONIX_NATS_GATEWAY_STREAM: natsName().default('gateways'),
  /** The stream where envelopes of unknown devices wait … */
  PONIX_NATS_DEFERRED_STREAM: natsName().default('deferred_envelopes'),
  /** … with its limits: bytes, and messages of one organization. */
  PONIX_NATS_DEFERRED_MAX_BYTES: integer(1_000_000, 1e15 - 1).prefault('500000000'),
  PONIX_NATS_DEFERRED_MAX_PER_ORGANIZATION: integer(1, 1_000_000_000).prefault('10000'),
  /** The stream where envelopes beyond the share of their organization wait … */
  PONIX_NATS_SURPLUS_STREAM: natsName().default('surplus_envelopes'),
  /** … with its limits: bytes, and bundles of one organization, each of about 32 KiB if there are many envelopes. */
  PONIX_NATS_SURPLUS_MAX_BYTES: integer(1_000_000, 1e15 - 1).prefault('1000000000'),
  PONIX_NATS_SURPLUS_MAX_PER_ORGANIZATION: integer(1, 1_000_000_000).prefault('8192'),
  PONIX_NATS_BATCH_SIZE: integer(1, 10_000).prefault('30'),
  PONIX_NATS_BATCH_WAIT_SECS: seconds(0, 3600).prefault('5'),
  /** 0 means no limit. */
  PONIX_NATS_STREAM_MAX_AGE_SECS: seconds(0, MAX_AGE_SECS).prefault('604800'),
  /** Limits of single streams instead, with the same meaning of 0. Without its own, dead letters are kept for at least 30 days. */
  PONIX_NATS_RAW_MAX_AGE_SECS: seconds(0, MAX_AGE_SECS).optional(),
  PONIX_NATS_PROCESSED_MAX_AGE_SECS: seconds(0, MAX_AGE_SECS).optional(),
  PONIX_NATS_DEAD_LETTERS_MAX_AGE_SECS: seconds(0, MAX_AGE_SECS).optional(),
  /** Bytes; 0 means no limit. A full stream rejects messages until old messages expire, so that none is dropped unread. */
  PONIX_NATS_STREAM_MAX_BYTES: integer(0, 1e15 - 1).prefault('0'),
  PONIX_NATS_DUPLICATE_WINDOW_SECS: seconds(0.1, 86_400).prefault('120'),
  /** Dead letters that one process stores for each organization per hour; 0 means no limit. */
  PONIX_DEAD_LETTER_QUOTA: integer(0, 1_000_000_000).prefault('10000'),
}

export const postgresEnvironment = {
  PONIX_POSTGRES_HOST: z.string().default('localhost'),
  PONIX_POSTGRES_PORT: port().prefault('5432'),
  PONIX_POSTGRES_DATABASE: z.string().default('ponix'),
  PONIX_POSTGRES_USERNAME: z.string().default('ponix'),
  PONIX_POSTGRES_PASSWORD: z.string().default('ponix'),
}

export const clickhouseEnvironment = {
  PONIX_CLICKHOUSE_URL: url('http', 'https').default('http://localhost:8123'),
  PONIX_CLICKHOUSE_DATABASE: z.string().default('ponix'),
  PONIX_CLICKHOUSE_USERNAME: z.string().default('ponix'),
  PONIX_CLICKHOUSE_PASSWORD: z.string().default('ponix'),
}

/** The parsed variables of a fragment. */
type Fragment<Shape extends z.ZodRawShape> = Environment<z.ZodObject<Shape>>

export type CommonEnvironment = Fragment<typeof commonEnvironment>
export type NatsEnvironment = Fragment<typeof natsEnvironment>
export type PostgresEnvironment = Fragment<typeof postgresEnvironment>
export type ClickHouseEnvironment = Fragment<typeof clickhouseEnvironment>
