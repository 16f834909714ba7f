import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { ClickHouseException } from './exception.ts'

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
