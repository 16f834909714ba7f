import { isIP } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import type { ProbeCheck } from '../../config/resolved.ts'
import { isLoopback, portOf } from '../../config/socket-address.ts'
import { canonical, type Listener } from './listeners.ts'

/** A TCP port of this machine that a probe connects to. */
export interface LocalPort {
  readonly port: number
  /** The addresses at which a connection may arrive, in canonical form. */
  readonly addresses: readonly string[]
}

const LOOPBACK = ['127.0.0.1', '::1']
const ANY = new Set(['0.0.0.0', '::'])

/** Returns the port of this machine that a check connects to; null if it connects to none, or to another machine. */
export function localPortOf(check: ProbeCheck): LocalPort | null {
  switch (check.type) {
    case 'tcp_socket':
      return localPort(check.host, check.port)
    case 'http_get': {
      const url = new URL(check.url)
      return localPort(url.hostname.replace(/^\[(.*)\]$/, '$1'), portOf(url))
    }
    case 'exec':
    case 'log_line':
    case 'notify':
      return null
  }
}

function localPort(host: string, port: number): LocalPort | null {
  const addresses = localAddresses(host)
  return addresses.length === 0 ? null : { port, addresses }
}

/** Names are not resolved: only `localhost` and the name of this machine are known. */
function localAddresses(host: string): readonly string[] {
  const version = isIP(host)
  if (version === 0) {
    const name = host.toLowerCase()
    if (name === 'localhost' || name.endsWith('.localhost')) return LOOPBACK
    return name === hostname().toLowerCase() ? [...LOOPBACK, ...ownAddresses()] : []
  }
  if (ANY.has(host)) return LOOPBACK
  const address = version === 6 ? canonical(host) : host
  return isLoopback(address) || ownAddresses().includes(address) ? [address] : []
}

function ownAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.map(({ address }) => address))
}

/** Returns the sockets that may accept a connection to the port. */
export function listenersAt({ port, addresses }: LocalPort, listeners: readonly Listener[]): readonly Listener[] {
  return listeners.filter((socket) => {
    return socket.port === port && (ANY.has(socket.address) || addresses.includes(socket.address))
  })
}
