import type { EndDeviceService, GatewayService, OrganizationService } from '../../src/domain/entity-services.ts'
import type { EndDevice, Gateway } from '../../src/domain/entities.ts'
import { invalid } from '../../src/domain/fields.ts'
import { type GatewayConnectionReader, withConnections } from '../../src/domain/gateway-connection.ts'
import type { TelemetryService } from '../../src/domain/telemetry-service.ts'
import {
  organizationStatusFromProto,
  organizationToProto,
  endDeviceToProto,
  gatewayToProto,
} from '../../src/proto/entities.ts'
import { processedEnvelopeToProto } from '../../src/proto/envelope.ts'
import { TelemetryService as Telemetry } from '../../src/proto/gen/ponix/analytics/v1/telemetry_pb.ts'
import {
  EndDeviceService as EndDevices,
  type EndDevice as ProtoEndDevice,
} from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import {
  GatewayService as Gateways,
  type Gateway as ProtoGateway,
} from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { OrganizationService as Organizations } from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { optionalInstant } from '../../src/proto/timestamp.ts'
import { type CallContext, unary, type Route } from './route.ts'

/** Returns the routes of ponix.organization.v1.OrganizationService. */
export function organizationRoutes(organizations: OrganizationService): readonly Route[] {
  const { method } = Organizations
  return [
    unary(method.createOrganization, async ({ name, retentionDays }, call) => {
      const organization = await organizations.create({ name, retentionDays }, call)
      call.organizationId = organization.id
      return { organization: organizationToProto(organization) }
    }),
    unary(method.getOrganization, async ({ organizationId }, call) => {
      call.organizationId = organizationId
      return { organization: organizationToProto(await organizations.get(organizationId, call)) }
    }),
    unary(method.listOrganizations, async ({ pageSize, pageToken }, call) => {
      const { items, nextPageToken } = await organizations.list({ pageSize, pageToken }, call)
      return { organizations: items.map(organizationToProto), nextPageToken }
    }),
    unary(method.updateOrganization, async ({ organizationId, name, status: number, retentionDays }, call) => {
      call.organizationId = organizationId
      const status = number === undefined ? undefined : organizationStatusFromProto(number)
      const change = { name, status, retentionDays }
      return { organization: organizationToProto(await organizations.update(organizationId, change, call)) }
    }),
    unary(method.deleteOrganization, async ({ organizationId }, call) => {
      call.organizationId = organizationId
      return { organization: organizationToProto(await organizations.delete(organizationId, call)) }
    }),
  ]
}

/** Returns the routes of ponix.end_device.v1.EndDeviceService. */
export function endDeviceRoutes(endDevices: EndDeviceService): readonly Route[] {
  const { method } = EndDevices
  return [
    unary(method.createEndDevice, async ({ organizationId, name, payloadConversion, externalId, profileId }, call) => {
      call.organizationId = organizationId
      const input = { organizationId, name, payloadConversion, externalId, profileId }
      return { endDevice: shownDevice(await endDevices.create(input, call), call) }
    }),
    unary(method.getEndDevice, async ({ deviceId }, call) => ({
      endDevice: shownDevice(await endDevices.get(deviceId, call), call),
    })),
    unary(method.listEndDevices, async ({ organizationId, pageSize, pageToken }, call) => {
      call.organizationId = organizationId
      const { items, nextPageToken } = await endDevices.list(organizationId, { pageSize, pageToken }, call)
      return { endDevices: items.map(endDeviceToProto), nextPageToken }
    }),
    unary(method.updateEndDevice, async ({ deviceId, name, payloadConversion, externalId, profileId }, call) => {
      const change = { name, payloadConversion, externalId, profileId }
      return { endDevice: shownDevice(await endDevices.update(deviceId, change, call), call) }
    }),
    unary(method.deleteEndDevice, async ({ deviceId }, call) => {
      shownDevice(await endDevices.delete(deviceId, call), call)
      return {}
    }),
  ]
}

function shownDevice(device: EndDevice, call: CallContext): ProtoEndDevice {
  call.organizationId = device.organizationId
  return endDeviceToProto(device)
}

/** Returns the routes of ponix.gateway.v1.GatewayService. */
export function gatewayRoutes(gateways: GatewayService, connections: GatewayConnectionReader): readonly Route[] {
  const { method } = Gateways
  const connected = async (gateway: Gateway, call: CallContext): Promise<ProtoGateway> => {
    call.organizationId = gateway.organizationId
    const [shown = gateway] = await withConnections([gateway], connections, call)
    return gatewayToProto(shown)
  }
  return [
    unary(method.createGateway, async ({ organizationId, name, gatewayType, gatewayConfig }, call) => {
      call.organizationId = organizationId
      const { gateway, warnings } = await gateways.create({ organizationId, name, gatewayType, gatewayConfig }, call)
      return { gateway: shownGateway(gateway, call), warnings: [...warnings] }
    }),
    unary(method.getGateway, async ({ gatewayId }, call) => ({
      gateway: await connected(await gateways.get(gatewayId, call), call),
    })),
    unary(method.listGateways, async ({ organizationId, pageSize, pageToken }, call) => {
      call.organizationId = organizationId
      const { items, nextPageToken } = await gateways.list(organizationId, { pageSize, pageToken }, call)
      const shown = await withConnections(items, connections, call)
      return { gateways: shown.map(gatewayToProto), nextPageToken }
    }),
    unary(method.updateGateway, async ({ gatewayId, name, gatewayType, gatewayConfig, status }, call) => {
      if (status !== undefined) throw invalid('status cannot be set: it follows the connection of the gateway')
      const change = { name, gatewayType, gatewayConfig }
      const { gateway, warnings } = await gateways.update(gatewayId, change, call)
      return { gateway: await connected(gateway, call), warnings: [...warnings] }
    }),
    unary(method.deleteGateway, async ({ gatewayId }, call) => ({
      gateway: shownGateway(await gateways.delete(gatewayId, call), call),
    })),
  ]
}

function shownGateway(gateway: Gateway, call: CallContext): ProtoGateway {
  call.organizationId = gateway.organizationId
  return gatewayToProto(gateway)
}

/** Returns the routes of ponix.analytics.v1.TelemetryService. */
export function telemetryRoutes(telemetry: TelemetryService): readonly Route[] {
  const { method } = Telemetry
  return [
    unary(method.getLatest, async ({ organizationId, endDeviceId, fieldPaths }, call) => {
      call.organizationId = organizationId
      const envelope = await telemetry.latest(organizationId, endDeviceId, fieldPaths, call)
      return envelope === null ? {} : { envelope: processedEnvelopeToProto(envelope) }
    }),
    unary(method.queryEnvelopes, async ({ organizationId, endDeviceId, from, to, fieldPaths, ...page }, call) => {
      call.organizationId = organizationId
      const times = { from: optionalInstant(from), to: optionalInstant(to) }
      const input = { organizationId, endDeviceId, fieldPaths, ...times, withUplink: true }
      const { items, nextPageToken } = await telemetry.list(input, page, call)
      return { envelopes: items.map(processedEnvelopeToProto), nextPageToken }
    }),
  ]
}
