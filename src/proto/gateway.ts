import { create, toBinary } from '@bufbuild/protobuf'
import type { Gateway, GatewayStatus, JsonObject } from '../domain/gateway.ts'
import { decodeMessage } from './binary.ts'
import { MappingError } from '../domain/errors.ts'
import {
  GatewaySchema,
  GatewayStatus as ProtoStatus,
  type Gateway as ProtoGateway,
} from './gen/ponix/gateway/v1/gateway_pb.ts'
import { optionalInstant, requiredInstant, timestampFromInstant } from './timestamp.ts'

const TO_PROTO = {
  active: ProtoStatus.ACTIVE,
  error: ProtoStatus.ERROR,
  pending: ProtoStatus.PENDING,
} as const satisfies Record<GatewayStatus, ProtoStatus>

const FROM_PROTO: ReadonlyMap<ProtoStatus, GatewayStatus> = new Map([
  [ProtoStatus.ACTIVE, 'active'],
  [ProtoStatus.ERROR, 'error'],
  [ProtoStatus.PENDING, 'pending'],
])

/** Null for UNSPECIFIED and for a number that this version does not know. */
export function gatewayStatusFromProto(status: ProtoStatus): GatewayStatus | null {
  return FROM_PROTO.get(status) ?? null
}

export function gatewayToProto(gateway: Gateway): ProtoGateway {
  return create(GatewaySchema, {
    gatewayId: gateway.gatewayId,
    organizationId: gateway.organizationId,
    name: gateway.name,
    status: TO_PROTO[gateway.status],
    createdAt: timestampFromInstant(gateway.createdAt),
    updatedAt: timestampFromInstant(gateway.updatedAt),
    ...(gateway.deletedAt === null ? {} : { deletedAt: timestampFromInstant(gateway.deletedAt) }),
    gatewayType: gateway.gatewayType,
    gatewayConfig: JSON.stringify(gateway.gatewayConfig),
  })
}

/** Throws a MappingError for a missing time, an unknown status or a config that is no JSON object. */
function gatewayFromProto(message: ProtoGateway): Gateway {
  const status = gatewayStatusFromProto(message.status)
  if (status === null) throw new MappingError(`gateway.status is unknown: ${message.status}`)
  return {
    gatewayId: message.gatewayId,
    organizationId: message.organizationId,
    name: message.name,
    gatewayType: message.gatewayType,
    gatewayConfig: configFromText(message.gatewayConfig),
    status,
    createdAt: requiredInstant('gateway.created_at', message.createdAt),
    updatedAt: requiredInstant('gateway.updated_at', message.updatedAt),
    deletedAt: optionalInstant(message.deletedAt),
  }
}

export function encodeGateway(gateway: Gateway): Uint8Array {
  return toBinary(GatewaySchema, gatewayToProto(gateway))
}

/** Throws a MappingError for anything but a whole Gateway. */
export function decodeGateway(bytes: Uint8Array): Gateway {
  return gatewayFromProto(decodeMessage(GatewaySchema, bytes))
}

function configFromText(text: string): JsonObject {
  if (text === '') return {}
  let config: unknown
  try {
    config = JSON.parse(text)
  } catch (error) {
    throw new MappingError('gateway.gateway_config is not JSON', { cause: error })
  }
  if (!isJsonObject(config)) throw new MappingError('gateway.gateway_config is not a JSON object')
  return config
}

function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
