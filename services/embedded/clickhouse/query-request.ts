import { randomUUID, createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { ClickHouseException } from './exception.ts'

/** A name with a value, as they came in the URL. */
export type Pair = readonly [name: string, value: string]

/** What a request says about its query, but for the body. */
export interface QueryRequest {
  readonly id: string
  /** The `query` of the URL; the body is appended to it. */
  readonly query: string
  readonly database: string | undefined
  /** Of the answer, unless the query has a FORMAT clause. */
  readonly format: string
  /** For the engine, which knows best which exist. */
  readonly settings: readonly Pair[]
  /** Values of `{name:Type}`. */
  readonly parameters: readonly Pair[]
  readonly session: SessionRequest | undefined
  /** The answer is to begin when the query has ended, so that its status is true. */
  readonly whole: boolean
  /** The client says that the answer may be compressed. */
  readonly compression: boolean
  readonly compressionLevel: number
}

export interface SessionRequest {
  readonly id: string
  readonly timeoutMs: number
  /** The session must exist already. */
  readonly mustExist: boolean
}

/** Parameters of the interface itself; every other one is a setting. */
const OWN = new Set(
  [
    'query database user password quota_key query_id session_id session_timeout session_check close_session',
    'default_format compress decompress buffer_size wait_end_of_query stacktrace role client_protocol_version',
  ]
    .join(' ')
    .split(' '),
)
const MAX_SESSION_SECONDS = 3600

/** Reads the URL's parameters and the headers that stand for some of them. Throws a ClickHouseException. */
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

/** The entries called `param_{name}`. */
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

function header(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value[0] : value
}

function isOn(value: string | null): boolean {
  return value === '1' || value === 'true'
}

export interface Credentials {
  readonly username: string
  readonly password: string
}

/** Checks who asks: the URL's `user` and `password`, `X-ClickHouse-User` and `-Key`, or Basic authentication, in this order. */
export function authenticate(expected: Credentials, headers: IncomingHttpHeaders, url: URLSearchParams): void {
  const given = fromUrl(url) ?? fromHeaders(headers) ?? fromBasic(headers.authorization)
  const name = given?.username ?? 'default'
  const nameRight = same(name, expected.username)
  if (given !== undefined && same(given.password, expected.password) && nameRight) return
  const message = `${name}: Authentication failed: password is incorrect, or there is no user with such name`
  throw new AuthenticationFailed(message, given !== undefined)
}

/** `challenged`: credentials were given, so the client is not asked for them. */
export class AuthenticationFailed extends ClickHouseException {
  readonly challenged: boolean

  constructor(message: string, challenged: boolean) {
    super(516, 'AUTHENTICATION_FAILED', message)
    this.challenged = challenged
  }
}

function fromUrl(url: URLSearchParams): Credentials | undefined {
  const username = url.get('user')
  const password = url.get('password')
  if (username === null && password === null) return undefined
  return { username: username ?? 'default', password: password ?? '' }
}

function fromHeaders(headers: IncomingHttpHeaders): Credentials | undefined {
  const username = headers['x-clickhouse-user']
  const password = headers['x-clickhouse-key']
  if (username === undefined && password === undefined) return undefined
  return { username: String(username ?? 'default'), password: String(password ?? '') }
}

function fromBasic(authorization: string | undefined): Credentials | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/=_-]+) *$/i.exec(authorization ?? '')?.[1]
  if (encoded === undefined) return undefined
  const [username = '', ...rest] = Buffer.from(encoded, 'base64').toString().split(':')
  return { username, password: rest.join(':') }
}

/** Of digests, so that the time taken tells nothing, not even the length. */
function same(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest())
}
