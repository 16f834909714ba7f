import { X509Certificate } from 'node:crypto'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls'
import { GatewayConfigError, messageOf } from '../domain/errors.ts'
import { type GatewayBroker, NO_USERNAME } from '../domain/gateway-config.ts'

const DEFAULT_PORTS = { mqtt: 1883, mqtts: 8883 } as const

/** The parts of a URL `mqtt://user:password@host:port`; `mqtts` means TLS. */
export function brokerAddress(brokerUrl: string) {
  const { protocol: scheme, hostname, port, username, password } = new URL(brokerUrl)
  const protocol = scheme === 'mqtts:' ? 'mqtts' : 'mqtt'
  return {
    protocol,
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === '' ? DEFAULT_PORTS[protocol] : Number(port),
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(password === '' ? {} : { password: decodeURIComponent(password) }),
  } as const
}

/** Returns the host and port of a broker for messages. */
export function brokerPlace({ brokerUrl }: GatewayBroker): string {
  const { host, port } = brokerAddress(brokerUrl)
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Returns the user and password of a broker; those of the config replace those of the URL. Throws a GatewayConfigError for a password alone. */
export function credentialsOf(broker: GatewayBroker): { readonly username?: string; readonly password?: string } {
  const { username, password } = { ...brokerAddress(broker.brokerUrl), ...defined(broker) }
  if (password !== undefined && username === undefined) throw new GatewayConfigError(`gateway_config: ${NO_USERNAME}`)
  return { ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }) }
}

/** Returns a text that differs for other credentials. It has secrets. */
export function credentialsKey(broker: GatewayBroker | undefined): string {
  return JSON.stringify([broker?.password, broker?.ca, broker?.cert, broker?.key])
}

/** Returns the broker and the user as a text, without secrets. Throws a GatewayConfigError for invalid credentials. */
export function identityOf(broker: GatewayBroker): string {
  const { protocol, host, port } = brokerAddress(broker.brokerUrl)
  const { cert } = broker
  const subject = cert === undefined ? '' : checked('cert', () => new X509Certificate(cert).subject)
  return JSON.stringify([protocol, host, port, credentialsOf(broker).username ?? '', subject])
}

function defined({ username, password }: GatewayBroker) {
  return { ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }) }
}

/** Opens a socket; the event is `connect` or `secureConnect`. Throws a GatewayConfigError for certificates that cannot be used. */
export function openSocket(broker: GatewayBroker): { readonly socket: Socket; readonly readyEvent: string } {
  const { protocol, host, port } = brokerAddress(broker.brokerUrl)
  if (protocol === 'mqtt') return { socket: connectTcp({ host, port, noDelay: true }), readyEvent: 'connect' }
  // The name for SNI must not be an address (RFC 6066, 3).
  const servername = isIP(host) === 0 ? { servername: host } : {}
  const socket = connectTls({ host, port, ...servername, secureContext: secureContextOf(broker) })
  return { socket: socket.setNoDelay(true), readyEvent: 'secureConnect' }
}

function secureContextOf({ ca, cert, key }: GatewayBroker): SecureContext {
  for (const [name, certificate] of Object.entries({ ca, cert })) {
    if (certificate !== undefined) checked(name, () => new X509Certificate(certificate))
  }
  return checked('cert, key', () =>
    createSecureContext({
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    }),
  )
}

function checked<T>(keys: string, create: () => T): T {
  try {
    return create()
  } catch (error) {
    throw new GatewayConfigError(`gateway_config: ${keys}: ${messageOf(error)}`)
  }
}
