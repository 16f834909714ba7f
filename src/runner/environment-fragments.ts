import { z } from 'zod'

/** The variables of W-6 that several services read: spread the fragments into a service's own `z.object({...})`. */

/** A whole number, `min` to `max`. */
export function integer(min: number, max: number) {
  const expected = `expected a whole number from ${min} to ${max}`
  return z
    .string()
    .regex(/^-?\d{1,15}$/, expected)
    .transform(Number)
    .refine((value) => value >= min && value <= max, expected)
}

/** Seconds in the environment, milliseconds in the program. Fractions are allowed. */
export function seconds(min: number, max: number) {
  const expected = `expected a number of seconds from ${min} to ${max}`
  return z
    .string()
    .regex(/^\d{1,12}(\.\d{1,6})?$/, expected)
    .transform(Number)
    .refine((value) => value >= min && value <= max, expected)
    .transform((value) => Math.round(value * 1000))
}

/** A TCP port. */
export function port() {
  return integer(1, 65_535)
}

/** A URL with one of these schemes, such as `http`. */
export function url(...schemes: readonly string[]) {
  return z.string().refine((value) => isUrl(value, schemes), `expected a URL like ${examples(schemes)}`)
}

/** One or more URLs, separated by commas: the servers of a cluster. */
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

/** The name of a JetStream stream or durable consumer. */
export function natsName() {
  return z.string().regex(/^[A-Za-z0-9_-]{1,128}$/, 'expected a name of letters, digits, _ and -')
}

/** What every service reads. */
export const commonEnvironment = {
  PONIX_LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
      error: 'expected trace, debug, info, warn, error, fatal or silent',
    })
    .default('info'),
  /** Milliseconds. */
  PONIX_STARTUP_TIMEOUT_SECS: seconds(0, 86_400).prefault('30'),
}

/** NATS: the server, the streams of W-1 with their limits, and how consumers gather batches. */
export const natsEnvironment = {
  PONIX_NATS_URL: urls('nats', 'tls').default('nats://localhost:4222'),
  PONIX_NATS_RAW_STREAM: natsName().default('raw_envelopes'),
  PONIX_PROCESSED_ENVELOPES_STREAM: natsName().default('processed_envelopes'),
  PONIX_NATS_GATEWAY_STREAM: natsName().default('gateways'),
  PONIX_NATS_BATCH_SIZE: integer(1, 10_000).prefault('30'),
  /** Milliseconds. */
  PONIX_NATS_BATCH_WAIT_SECS: seconds(0, 3600).prefault('5'),
  /** Milliseconds; 0 keeps messages whatever their age. */
  PONIX_NATS_STREAM_MAX_AGE_SECS: seconds(0, 315_360_000).prefault('604800'),
  /** Bytes; 0 sets no limit. A stream that is full refuses messages until age makes room, so that nothing is lost unread. */
  PONIX_NATS_STREAM_MAX_BYTES: integer(0, 1e15 - 1).prefault('0'),
  /** Milliseconds in which a message id is recognised again. */
  PONIX_NATS_DUPLICATE_WINDOW_SECS: seconds(0.1, 86_400).prefault('120'),
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

/** What parsing makes of a fragment. */
type Parsed<Fragment extends z.ZodRawShape> = z.infer<z.ZodObject<Fragment>>

export type CommonEnvironment = Parsed<typeof commonEnvironment>
export type NatsEnvironment = Parsed<typeof natsEnvironment>
export type PostgresEnvironment = Parsed<typeof postgresEnvironment>
export type ClickHouseEnvironment = Parsed<typeof clickhouseEnvironment>
