import { randomUUID, createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { ClickHouseException } from './exception.ts'

/** A name and a value of the URL. */
export type Pair = readonly [name: string, value: string]

export interface SessionRequest {
  readonly id: string
  readonly timeoutMs: number
  /** True if the session must already exist. */
  readonly mustExist: boolean
}

/** A request's parameters and headers. */
export interface QueryRequest {
  readonly id: string
  /** The `query` of the URL; the body is appended to it. */
  readonly query: string
  readonly database: string | undefined
  /** Default format of the answer; a FORMAT clause overrides it. */
  readonly format: string
  /** Validated by the engine. */
  readonly settings: readonly Pair[]
  /** Values of `{name:Type}`. */
  readonly parameters: readonly Pair[]
  readonly session: SessionRequest | undefined
  /** True to buffer the result until the query has ended, so that the status is final. */
  readonly whole: boolean
  /** True if the client accepts compression of the answer. */
  readonly compression: boolean
  readonly compressionLevel: number
}

/** Parameters of the interface; all others are settings. */
const OWN = new Set(
  (
    'query database user password quota_key query_id session_id session_timeout session_check close_session ' +
    'default_format compress decompress buffer_size wait_end_of_query stacktrace role client_protocol_version'
  ).split(' '),
)
const MAX_SESSION_SECONDS = 3600

/** Reads the URL's parameters and the equivalent headers. Throws a ClickHouseException. */
export function readQueryRequest(url: URLSearchParams, headers: IncomingHttpHeaders): QueryRequest {
  refuseUnsupported(url)
  const entries = [...url]
  return {
    id: url.get('query_id') || header(headers, 'x-clickhouse-query-id') || randomUUID(),
    query: url.get('query') ?? '',
    database: url.get('database') || header(headers, 'x-clickhouse-database') || undefined,
    format: url.get('default_format') || header(headers, 'x-clickhouse-format') || 'TabSeparated',
    settings: entries.filter(([name]) => !OWN.has(name) && !name.startsWith('param_')),
    parameters: parametersOf(entries),
    session: sessionOf(url),
    whole: isOn(url.get('wait_end_of_query')) || isOn(url.get('http_wait_end_of_query')),
    compression: isOn(url.get('enable_http_compression')),
    compressionLevel: Math.min(9, Math.max(1, Number(url.get('http_zlib_compression_level')) || 3)),
  }
}

/** Returns the entries named `param_{name}`. */
export function parametersOf(entries: Iterable<Pair>): Pair[] {
  return [...entries].flatMap(([name, value]): Pair[] =>
    name.startsWith('param_') ? [[name.slice('param_'.length), value]] : [],
  )
}

function sessionOf(url: URLSearchParams): SessionRequest | undefined {
  const id = url.get('session_id')
  if (!id) return undefined
  const seconds = Number(url.get('session_timeout') ?? 60)
  if (!Number.isInteger(seconds) || seconds < 0 || seconds > MAX_SESSION_SECONDS) {
    const message = `Session timeout '${url.get('session_timeout')}' must be a whole number of seconds up to ${MAX_SESSION_SECONDS}`
    throw new ClickHouseException(374, 'INVALID_SESSION_TIMEOUT', message)
  }
  return { id, timeoutMs: seconds * 1000, mustExist: isOn(url.get('session_check')) }
}

function refuseUnsupported(url: URLSearchParams): void {
  for (const name of ['compress', 'decompress']) {
    if (!isOn(url.get(name))) continue
    const message = `The embedded server has no '${name}': compress with HTTP's Content-Encoding and Accept-Encoding`
    throw new ClickHouseException(48, 'NOT_IMPLEMENTED', message)
  }
}

function header(headers: IncomingHttpHeaders, name: string): string | null {
  return headers[name]?.toString() ?? null
}

function isOn(value: string | null): boolean {
  return value === '1' || value === 'true'
}

export interface Credentials {
  readonly username: string
  readonly password: string
}

/**
 * Checks the URL's `user` and `password`, `X-ClickHouse-User` and `-Key`, or Basic authentication, in this order. Without any of
 * them, adds a challenge to the response. Throws a ClickHouseException.
 */
export function authenticate(
  expected: Credentials,
  url: URLSearchParams,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const { headers } = request
  const given = [
    { username: url.get('user'), password: url.get('password') },
    { username: header(headers, 'x-clickhouse-user'), password: header(headers, 'x-clickhouse-key') },
    basicCredentials(headers.authorization),
  ].find(({ username, password }) => username !== null || password !== null)
  const name = given?.username ?? 'default'
  const nameRight = same(name, expected.username)
  if (given !== undefined && same(given.password ?? '', expected.password) && nameRight) return
  if (given === undefined) response.setHeader('WWW-Authenticate', 'Basic realm="ClickHouse server HTTP API"')
  const message = `${name}: Authentication failed: password is incorrect, or there is no user with such name`
  throw new ClickHouseException(516, 'AUTHENTICATION_FAILED', message)
}

function basicCredentials(authorization = '') {
  const encoded = /^Basic +([A-Za-z0-9+/=_-]+) *$/i.exec(authorization)?.[1]
  if (encoded === undefined) return { username: null, password: null }
  const [username = '', ...rest] = Buffer.from(encoded, 'base64').toString().split(':')
  return { username, password: rest.join(':') }
}

/** Compares digests in constant time, which does not reveal the length either. */
function same(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest())
}
