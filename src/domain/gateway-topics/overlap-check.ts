import { DomainError } from '../errors.ts'
import type { OverlapCandidates } from '../ports.ts'
import { isSameBroker, overlapText } from './overlaps.ts'
import {
  filterShown,
  type GatewaySubscription,
  receivesSame,
  type SubscribingGateway,
  subscriptionOf,
} from './subscription.ts'
import { filtersOverlap } from './topic-filter.ts'

const MAX_WARNINGS = 10
const MORE =
  'further gateways of the organization may receive the same messages; ponix-gateway-orchestrator shows them in /gateways'

/**
 * Returns warnings of other gateways of the organization that may receive messages of this one: those with the same host, another user or a
 * port that can be the same broker, and an overlapping topic. Throws `failed_precondition` if a gateway receives them for certain, which
 * would be stored twice. `stored` is the gateway before the change: what it receives already is neither refused nor warned of.
 */
export async function checkOverlaps(
  gateway: SubscribingGateway,
  stored: SubscribingGateway | null,
  candidates: OverlapCandidates,
): Promise<readonly string[]> {
  const own = subscriptionOf(gateway)
  if (own === null) return []
  const before = stored === null ? null : subscriptionOf(stored)
  if (JSON.stringify(before) === JSON.stringify(own)) return []
  const warnings: string[] = []
  for await (const page of candidates(own.host, own.topicFilter)) {
    for (const other of page) {
      const its = other.gatewayId === gateway.gatewayId ? null : subscriptionOf(other)
      if (its === null) continue
      if (receivesSame(own, its)) throw overlapError(own, other.gatewayId, its)
      if (mayReceiveSame(own, its) && warnings.length <= MAX_WARNINGS)
        warnings.push(warningOf(own, other.gatewayId, its))
    }
  }
  return warnings.length > MAX_WARNINGS ? [...warnings.slice(0, MAX_WARNINGS), MORE] : warnings
}

function mayReceiveSame(own: GatewaySubscription, its: GatewaySubscription): boolean {
  return isSameBroker(own, its) && filtersOverlap(own.topicFilter, its.topicFilter)
}

function warningOf(own: GatewaySubscription, gatewayId: string, its: GatewaySubscription): string {
  const text = overlapText({ subscription: own }, { gatewayId, subscription: its })
  return `the gateway ${text}; choose another topic or application_id, or delete one of them, unless their users read different topics`
}

function overlapError(own: GatewaySubscription, otherId: string, its: GatewaySubscription): DomainError {
  const both = `topic filter ${filterShown(own.topicFilter)} overlaps ${filterShown(its.topicFilter)}`
  return new DomainError(
    'failed_precondition',
    `gateway_config: ${both} of gateway ${otherId} at ${own.host}:${own.port}, so messages would be stored twice; choose another topic or application_id, or delete that gateway`,
  )
}
