import { type BrokerAddress, filterShown, type GatewaySubscription, receivesSame } from './subscription.ts'
import { TopicFilterIndex } from './topic-filter-index.ts'

export interface ReceivingGateway {
  readonly gatewayId: string
  readonly organizationId: string
  readonly subscription: GatewaySubscription
  /** The address of the gateway's connection; null if there is none, or another instance has it. */
  readonly connectedTo: BrokerAddress | null
}

/** The limit of the comparisons in one organization: 10,000 gateways with usual topics need about a tenth. */
const MAX_VISITS = 1_000_000

/**
 * Yields each gateway with another one of its organization that may receive messages that it receives, or null if there is none. Their
 * brokers may be the same if they have the same host and port, or if connections to them lead to the same address, as those of
 * gateways with one host and port do for all of them. Users are not compared: what they may read is not known.
 */
export function* findOverlaps(
  gateways: Iterable<ReceivingGateway>,
): Generator<readonly [ReceivingGateway, ReceivingGateway | null]> {
  for (const group of byOrganization(gateways).values()) {
    const brokers = new Brokers(group)
    const indexes = new Map<string, TopicFilterIndex<ReceivingGateway>>()
    for (const gateway of group) {
      const broker = brokers.of(gateway)
      const index = indexes.get(broker) ?? new TopicFilterIndex(MAX_VISITS)
      indexes.set(broker, index)
      index.add(gateway.subscription.topicFilter, gateway)
    }
    for (const gateway of group) {
      const other = indexes.get(brokers.of(gateway))?.find(gateway.subscription.topicFilter, gateway)
      yield [gateway, other ?? null]
    }
  }
}

function byOrganization(gateways: Iterable<ReceivingGateway>): ReadonlyMap<string, readonly ReceivingGateway[]> {
  const groups = new Map<string, ReceivingGateway[]>()
  for (const gateway of gateways) {
    const group = groups.get(gateway.organizationId)
    if (group === undefined) groups.set(gateway.organizationId, [gateway])
    else group.push(gateway)
  }
  return groups
}

/** Describes an overlap in a text that follows the name of the first gateway. */
export function overlapText(
  { subscription: own }: Pick<ReceivingGateway, 'subscription'>,
  other: Pick<ReceivingGateway, 'gatewayId' | 'subscription'>,
): string {
  const { gatewayId, subscription: its } = other
  const verb = receivesSame(own, its) ? 'receives' : 'may receive'
  const filters = `topic filter ${placeShown(own)} overlaps ${placeShown(its)}`
  return `${verb} the same messages as gateway ${gatewayId}, so messages are stored twice: ${filters}`
}

function placeShown({ topicFilter, host, port }: GatewaySubscription): string {
  return `${filterShown(topicFilter)} at ${host}:${port}`
}

/** Which hosts and addresses are the same broker: a disjoint-set forest. */
class Brokers {
  readonly #parents = new Map<string, string>()

  constructor(gateways: readonly ReceivingGateway[]) {
    for (const { subscription, connectedTo } of gateways) {
      if (connectedTo === null) continue
      const [name, address] = [nameOf(subscription), placeOf(connectedTo.address, connectedTo.port)]
      this.#parents.set(this.#root(name), this.#root(address))
    }
  }

  /** Returns a text that is equal for gateways whose brokers may be the same. */
  of({ subscription }: ReceivingGateway): string {
    return this.#root(nameOf(subscription))
  }

  #root(place: string): string {
    let root = place
    for (let parent = this.#parents.get(root); parent !== undefined; parent = this.#parents.get(root)) {
      if (parent === root) break
      root = parent
    }
    // Shortens the way for the next call.
    this.#parents.set(place, root)
    return root
  }
}

/** Returns whether the subscriptions are at the same broker by host and port; the default ports with and without TLS are one. */
export function isSameBroker(one: GatewaySubscription, other: GatewaySubscription): boolean {
  return nameOf(one) === nameOf(other)
}

function nameOf({ host, port }: GatewaySubscription): string {
  return placeOf(host.replace(/^\[(.*)\]$/, '$1'), port)
}

const IPV4_MAPPED = /^::ffff:(?=\d+\.)/i
const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1|(.+\.)?localhost)$/
const MQTT_PORT = 1883
const MQTT_TLS_PORT = 8883

/** Returns whether the host of a subscription is the machine itself. */
export function isLoopbackHost(host: string): boolean {
  return LOOPBACK.test(host.replace(/^\[(.*)\]$/, '$1'))
}

/** Returns the place of a broker. A machine is the same at each loopback address and name (RFC 6761, 6.3), and a broker with and without TLS at its default ports. */
function placeOf(host: string, port: number): string {
  const address = host.replace(IPV4_MAPPED, '')
  return `${LOOPBACK.test(address) ? 'loopback' : address}:${port === MQTT_TLS_PORT ? MQTT_PORT : port}`
}
