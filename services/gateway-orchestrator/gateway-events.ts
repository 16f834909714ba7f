import { type GatewayEvent } from '../../src/domain/gateway-orchestration/gateway-event.ts'
import type { Delivery } from '../../src/nats/consumer.ts'
import { decodeGateway } from '../../src/proto/gateway.ts'

/** The subjects of W-1, from CDC's words into the domain's. */
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
      throw new Error(`no such gateway event: ${delivery.subject}`)
  }
}
