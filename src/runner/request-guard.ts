import type { IncomingHttpHeaders } from 'node:http'
import { BlockList, isIP } from 'node:net'

/** A rejection of a request: the HTTP status and one line for its sender. */
export interface Refusal {
  readonly status: 403 | 421
  readonly reason: string
}

/**
 * Returns why a request must be rejected, or null. Any web page can make a browser on this machine send requests: `Host` reveals
 * DNS rebinding, by which a name of the page's server resolves to a loopback address; `Origin` reveals a page of another server.
 * `allowedHosts` are names in lower case, beside `localhost` and the loopback addresses; any port is allowed, because the request
 * can come through a tunnel.
 */
export function refusalOf({ host, origin }: IncomingHttpHeaders, allowedHosts: readonly string[]): Refusal | null {
  const url = `http://${host ?? ''}`
  const name = URL.canParse(url) ? new URL(url).hostname : ''
  if (name !== 'localhost' && !allowedHosts.includes(name) && !isLoopbackAddress(name.replace(/^\[(.*)\]$/, '$1'))) {
    const expected = 'expected localhost, a loopback address or a name in PONIX_HTTP_ALLOWED_HOSTS'
    return { status: 421, reason: `Host "${host ?? ''}" is not served here; ${expected}` }
  }
  if (origin !== undefined && !isSameOrigin(origin, host)) {
    return { status: 403, reason: `Origin "${origin}": requests from pages of other servers are rejected` }
  }
  return null
}

function isSameOrigin(origin: string, host: string | undefined): boolean {
  return [`http://${host ?? ''}`, `https://${host ?? ''}`].includes(origin)
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8)
loopback.addAddress('::1', 'ipv6')

/** Returns whether the text is an IP address of the loopback interface; an IPv6 address has no brackets. */
export function isLoopbackAddress(address: string): boolean {
  const version = isIP(address)
  return version !== 0 && loopback.check(address, version === 4 ? 'ipv4' : 'ipv6')
}
