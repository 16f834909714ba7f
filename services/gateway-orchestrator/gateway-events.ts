import { UnknownGatewayEvent } from '../../src/domain/errors.ts'
import type { GatewayEvent } from '../../src/domain/gateway-orchestration/gateway-event.ts'
import type { Delivery } from '../../src/nats/consumer.ts'
import { decodeGateway } from '../../src/proto/gateway.ts'

/** The subjects of W-1, from CDC's words into the domain's. Throws a MappingError for a body that is no gateway. */
export function gatewayEventOf(delivery: Pick<Delivery, 'subject' | 'body'>): GatewayEvent {
  const gateway = decodeGateway(delivery.body)
  switch (delivery.subject) {
    case 'gateway.create':
      return { type: 'created', gateway }
    case 'gateway.update':
      return { type: 'updated', gateway }
    case 'gateway.delete':
      return { type: 'deleted', gatewayId: gateway.gatewayId, version: gateway.updatedAt }
    default:
      throw new UnknownGatewayEvent(`no such gateway event: ${delivery.subject}`)
  }
}
