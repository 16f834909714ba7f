import { timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { digestOf } from '../config/control.ts'
import { isLoopback } from '../config/loopback.ts'
import type { ResolvedHttp } from '../config/resolved.ts'
import { RequestError } from '../supervisor/request-error.ts'

/**
 * Throws a RequestError for a request over TCP that is not to be met. A browser on this machine may be made by any page to
 * ask an address of this machine: a name that was made to lead here is told by `Host`, another page by `Origin`. With a
 * token nothing is answered without it.
 */
export function admit({ host, origin, authorization }: IncomingHttpHeaders, http: ResolvedHttp): void {
  if (isLoopback(http.host) && !isOfThisMachine(host)) {
    throw new RequestError(403, 'Host: expected localhost or 127.0.0.1; no other name is answered at this address')
  }
  if (origin !== undefined && !isSameOrigin(origin, host)) {
    throw new RequestError(403, 'Origin: pages of other servers are not answered')
  }
  if (http.tokenDigest !== null && !holdsToken(authorization, http.tokenDigest)) {
    throw new RequestError(401, 'expected the token of the configuration: Authorization: Bearer TOKEN')
  }
}

/** The port may be another one, as at the end of a tunnel. */
function isOfThisMachine(host: string | undefined): boolean {
  const url = `http://${host ?? ''}`
  return URL.canParse(url) && isLoopback(new URL(url).hostname.replaceAll(/^\[|\]$/g, ''))
}

function isSameOrigin(origin: string, host: string | undefined): boolean {
  return [`http://${host ?? ''}`, `https://${host ?? ''}`].includes(origin.toLowerCase())
}

/** Digests have one length, and to compare them takes one time, whatever was sent. */
function holdsToken(authorization: string | undefined, tokenDigest: string): boolean {
  const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
  return token !== undefined && timingSafeEqual(Buffer.from(digestOf(token)), Buffer.from(tokenDigest))
}
