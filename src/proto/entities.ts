import { create } from '@bufbuild/protobuf'
import {
  isJsonObject,
  type EndDevice,
  type Gateway,
  type GatewayStatus,
  type JsonObject,
  type JsonValue,
  type Organization,
  type OrganizationStatus,
} from '../domain/entities.ts'
import { MappingError } from '../domain/errors.ts'
import type { ConnectedGateway, GatewayConnection, GatewayConnectionState } from '../domain/gateway-connection.ts'
import { EndDeviceSchema, type EndDevice as ProtoEndDevice } from './gen/ponix/end_device/v1/end_device_pb.ts'
import {
  GatewayConnectionSchema,
  GatewayConnectionState as ProtoConnectionState,
  GatewaySchema,
  GatewayStatus as ProtoGatewayStatus,
  type Gateway as ProtoGateway,
  type GatewayConnection as ProtoGatewayConnection,
} from './gen/ponix/gateway/v1/gateway_pb.ts'
import {
  OrganizationSchema,
  OrganizationStatus as ProtoOrganizationStatus,
  type Organization as ProtoOrganization,
} from './gen/ponix/organization/v1/organization_pb.ts'
import {
  decodeMessage,
  optionalInstant,
  optionalTimestamp,
  requiredInstant,
  timestampFromInstant,
} from './timestamp.ts'

export const ORGANIZATION_STATUS = {
  pending: ProtoOrganizationStatus.PENDING,
  active: ProtoOrganizationStatus.ACTIVE,
  inactive: ProtoOrganizationStatus.INACTIVE,
} as const satisfies Record<OrganizationStatus, ProtoOrganizationStatus>

export const GATEWAY_STATUS = {
  active: ProtoGatewayStatus.ACTIVE,
  error: ProtoGatewayStatus.ERROR,
  pending: ProtoGatewayStatus.PENDING,
} as const satisfies Record<GatewayStatus, ProtoGatewayStatus>

const CONNECTION_STATE = {
  unknown: ProtoConnectionState.UNKNOWN,
  starting: ProtoConnectionState.STARTING,
  running: ProtoConnectionState.RUNNING,
  interrupted: ProtoConnectionState.INTERRUPTED,
  retrying: ProtoConnectionState.RETRYING,
  failing: ProtoConnectionState.FAILING,
  failed: ProtoConnectionState.FAILED,
} as const satisfies Record<GatewayConnectionState, ProtoConnectionState>

/** Returns the organization status, or null for UNSPECIFIED and numbers unknown to this version. */
export function organizationStatusFromProto(status: ProtoOrganizationStatus): OrganizationStatus | null {
  return statusFromProto(ORGANIZATION_STATUS, status)
}

function gatewayStatusFromProto(status: ProtoGatewayStatus): GatewayStatus | null {
  return statusFromProto(GATEWAY_STATUS, status)
}

function statusFromProto<S extends string>(numbers: Readonly<Record<S, number>>, wanted: number): S | null {
  for (const name in numbers) if (numbers[name] === wanted) return name
  return null
}

export function organizationToProto(organization: Organization): ProtoOrganization {
  const status = ORGANIZATION_STATUS[organization.status]
  return create(OrganizationSchema, { ...organization, status, ...lifetimeToProto(organization) })
}

/** Decodes an Organization. Throws a MappingError unless it is complete. */
export function decodeOrganization(bytes: Uint8Array): Organization {
  const { id, name, retentionDays, ...message } = decodeMessage(OrganizationSchema, bytes)
  const status = organizationStatusFromProto(message.status)
  if (status === null) throw new MappingError(`unknown organization.status ${message.status}`)
  return { id, name, status, retentionDays, ...lifetimeFromProto('organization', message) }
}

export function endDeviceToProto(device: EndDevice): ProtoEndDevice {
  return create(EndDeviceSchema, {
    ...device,
    createdAt: timestampFromInstant(device.createdAt),
    updatedAt: timestampFromInstant(device.updatedAt),
    lastSeenAt: optionalTimestamp(device.lastSeenAt),
    lastHeardAt: optionalTimestamp(device.lastHeardAt ?? null),
    lastError: device.lastError ?? '',
    lastErrorAt: optionalTimestamp(device.lastErrorAt ?? null),
  })
}

/** Decodes an EndDevice. Throws a MappingError unless it is complete. */
export function decodeEndDevice(bytes: Uint8Array): EndDevice {
  const message = decodeMessage(EndDeviceSchema, bytes)
  const { deviceId, organizationId, name, payloadConversion, externalId, profileId } = message
  return {
    deviceId,
    organizationId,
    name,
    payloadConversion,
    externalId,
    profileId,
    createdAt: requiredInstant('end_device.created_at', message.createdAt),
    updatedAt: requiredInstant('end_device.updated_at', message.updatedAt),
    lastSeenAt: optionalInstant(message.lastSeenAt),
  }
}

export function gatewayToProto({ connection, ...gateway }: Gateway & Partial<ConnectedGateway>): ProtoGateway {
  return create(GatewaySchema, {
    ...gateway,
    gatewayConfig: JSON.stringify(gateway.gatewayConfig),
    status: GATEWAY_STATUS[gateway.status],
    ...lifetimeToProto(gateway),
    ...(connection === undefined ? {} : { connection: connectionToProto(connection) }),
  })
}

function connectionToProto(connection: GatewayConnection): ProtoGatewayConnection {
  return create(GatewayConnectionSchema, {
    state: CONNECTION_STATE[connection.state],
    since: optionalTimestamp(connection.since),
    lastError: connection.lastError ?? '',
    instance: connection.instance ?? '',
    startedAt: optionalTimestamp(connection.startedAt),
    retries: connection.retries,
    messages: BigInt(connection.messages),
    refusedMessages: BigInt(connection.refused),
  })
}

/** Decodes a Gateway; an empty config means `{}`. Throws a MappingError unless it is complete. */
export function decodeGateway(bytes: Uint8Array): Gateway {
  const message = decodeMessage(GatewaySchema, bytes)
  const { gatewayId, organizationId, name, gatewayType } = message
  const status = gatewayStatusFromProto(message.status)
  if (status === null) throw new MappingError(`unknown gateway.status ${message.status}`)
  const gatewayConfig = configFromText(message.gatewayConfig)
  return {
    gatewayId,
    organizationId,
    name,
    gatewayType,
    gatewayConfig,
    status,
    ...lifetimeFromProto('gateway', message),
  }
}

function configFromText(text: string): JsonObject {
  if (text === '') return {}
  let config: JsonValue
  try {
    config = JSON.parse(text)
  } catch (error) {
    throw new MappingError('gateway.gateway_config is not JSON', { cause: error })
  }
  if (!isJsonObject(config)) throw new MappingError('gateway.gateway_config is not a JSON object')
  return config
}

type Lifetime = Pick<Gateway, 'createdAt' | 'updatedAt' | 'deletedAt'>

function lifetimeToProto({ createdAt, updatedAt, deletedAt }: Lifetime) {
  return {
    createdAt: timestampFromInstant(createdAt),
    updatedAt: timestampFromInstant(updatedAt),
    deletedAt: optionalTimestamp(deletedAt),
  }
}

function lifetimeFromProto(
  entity: string,
  message: Pick<ProtoGateway, 'createdAt' | 'updatedAt' | 'deletedAt'>,
): Lifetime {
  return {
    createdAt: requiredInstant(`${entity}.created_at`, message.createdAt),
    updatedAt: requiredInstant(`${entity}.updated_at`, message.updatedAt),
    deletedAt: optionalInstant(message.deletedAt),
  }
}
