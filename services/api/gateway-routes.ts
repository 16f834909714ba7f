import type { Gateway } from '../../src/domain/entities.ts'
import type { GatewayService } from '../../src/domain/gateway-service.ts'
import { gatewayStatusFromProto, gatewayToProto } from '../../src/proto/entities.ts'
import {
  GatewayService as Service,
  type Gateway as ProtoGateway,
} from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import type { CallContext } from './call.ts'
import { unary, type Route } from './unary.ts'

/** ponix.gateway.v1.GatewayService. */
export function gatewayRoutes(gateways: GatewayService): readonly Route[] {
  const { method } = Service
  return [
    unary(method.createGateway, async ({ organizationId, name, gatewayType, gatewayConfig }, call) => {
      call.organizationId = organizationId
      return { gateway: shown(await gateways.create({ organizationId, name, gatewayType, gatewayConfig }, call), call) }
    }),
    unary(method.getGateway, async ({ gatewayId }, call) => ({
      gateway: shown(await gateways.get(gatewayId, call), call),
    })),
    unary(method.listGateways, async ({ organizationId, pageSize, pageToken }, call) => {
      call.organizationId = organizationId
      const { items, nextPageToken } = await gateways.list(organizationId, { pageSize, pageToken }, call)
      return { gateways: items.map(gatewayToProto), nextPageToken }
    }),
    unary(method.updateGateway, async ({ gatewayId, name, gatewayType, gatewayConfig, status }, call) => {
      const newStatus = status === undefined ? undefined : gatewayStatusFromProto(status)
      const change = { name, gatewayType, gatewayConfig, status: newStatus }
      return { gateway: shown(await gateways.update(gatewayId, change, call), call) }
    }),
    unary(method.deleteGateway, async ({ gatewayId }, call) => ({
      gateway: shown(await gateways.delete(gatewayId, call), call),
    })),
  ]
}

function shown(gateway: Gateway, call: CallContext): ProtoGateway {
  call.organizationId = gateway.organizationId
  return gatewayToProto(gateway)
}
