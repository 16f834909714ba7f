import type { Gateway } from '../entities.ts'
import { GatewayConfigError } from '../errors.ts'
import { DEFAULT_PORTS, gatewayBrokerConfig, gatewayTypeOf } from '../gateway-config.ts'
import { eventFilters } from '../network-server/events.ts'
import { filtersOverlap } from './topic-filter.ts'

/** The address of the other end of a connection to a broker. */
export interface BrokerAddress {
  readonly address: string
  readonly port: number
}

/** The messages that a gateway receives: those of a topic filter that a user may read at a broker. */
export interface GatewaySubscription {
  /** In lower case; an IPv6 address is in brackets. */
  readonly host: string
  readonly port: number
  /** Equal for the same user name and client certificate, which decide what may be read. */
  readonly user: string
  readonly topicFilter: string
}

export type SubscribingGateway = Pick<Gateway, 'gatewayId' | 'organizationId' | 'gatewayType' | 'gatewayConfig'>

/** Returns the subscription of a gateway; null for a printer, an unknown type and a config that cannot be used. */
export function subscriptionOf(gateway: SubscribingGateway): GatewaySubscription | null {
  const type = gatewayTypeOf(gateway.gatewayType)
  if (type === undefined || type === 'print') return null
  try {
    const { brokerUrl, username, cert, topicFilter } = gatewayBrokerConfig(type, gateway)
    const url = new URL(brokerUrl)
    const user = JSON.stringify([url.username || (username ?? ''), cert ?? ''])
    return { host: normalHost(url), port: Number(url.port) || DEFAULT_PORTS[url.protocol] || 0, user, topicFilter }
  } catch (error) {
    if (error instanceof GatewayConfigError) return null
    throw error
  }
}

/** Returns the topic filters to which a gateway subscribes, that of its messages first; none if it has no subscription. */
export function topicFiltersOf(gateway: SubscribingGateway): readonly string[] {
  const type = gatewayTypeOf(gateway.gatewayType)
  const subscription = subscriptionOf(gateway)
  if (type === undefined || type === 'print' || subscription === null) return []
  const { topicFilter } = subscription
  return [topicFilter, ...eventFilters(type, topicFilter).values()]
}

/**
 * Returns the host as `http:` URLs have it. The URL Standard normalises case, percent signs, IPv4 addresses and international names
 * in URLs of the schemes that it knows only.
 */
function normalHost({ hostname }: URL): string {
  const url = `http://${hostname}`
  return (URL.canParse(url) ? new URL(url).hostname : hostname.toLowerCase()).replace(/\.$/, '')
}

/** Returns whether both gateways receive some messages for certain: the same user reads them at the same address. */
export function receivesSame(a: GatewaySubscription, b: GatewaySubscription): boolean {
  return a.host === b.host && a.port === b.port && a.user === b.user && filtersOverlap(a.topicFilter, b.topicFilter)
}

const SHOWN_CHARACTERS = 200

/** Returns the start of a filter: an error must fit into the headers of a response. */
export function filterShown(filter: string): string {
  return filter.length > SHOWN_CHARACTERS ? `${filter.slice(0, SHOWN_CHARACTERS)}…` : filter
}
