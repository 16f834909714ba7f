import { BlockList, isIP, isIPv6 } from 'node:net'

/** A TCP address: a host name or IP address (IPv6 without brackets), and a port from 1 to 65535. */
export interface SocketAddress {
  readonly host: string
  readonly port: number
}

/** The form that parseSocketAddress accepts, for messages. */
export const socketAddressForm = 'host:port with a port from 1 to 65535, such as localhost:1883 or [::1]:1883'

/** Parses `localhost:1883`, `10.0.0.7:1883` or `[::1]:1883`; null for anything else. Names are not resolved. */
export function parseSocketAddress(text: string): SocketAddress | null {
  const match = /^(?:\[([^\]]+)\]|([^\s:/@[\]]+)):(\d{1,5})$/.exec(text)
  if (match === null) return null
  const [, inBrackets, name, digits] = match
  const port = Number(digits)
  if (port < 1 || port > 65_535) return null
  if (inBrackets !== undefined) return isIPv6(inBrackets) ? { host: inBrackets, port } : null
  return name === undefined ? null : { host: name, port }
}

/** Renders an address in the form that parseSocketAddress accepts. */
export function formatSocketAddress({ host, port }: SocketAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Returns the port of a URL of http or https. */
export function portOf({ protocol, port }: URL): number {
  if (port !== '') return Number(port)
  return protocol === 'https:' ? 443 : 80
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8)
loopback.addAddress('::1', 'ipv6')

/** Returns whether the host is `localhost` or a loopback address, with or without brackets. Other names are not resolved. */
export function isLoopback(host: string): boolean {
  const address = host.replace(/^\[(.*)\]$/, '$1')
  const version = isIP(address)
  if (version === 0) return address.toLowerCase() === 'localhost'
  return loopback.check(address, version === 4 ? 'ipv4' : 'ipv6')
}
