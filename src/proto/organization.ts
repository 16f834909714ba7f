import { create, toBinary } from '@bufbuild/protobuf'
import type { Organization, OrganizationStatus } from '../domain/organization.ts'
import { decodeMessage } from './binary.ts'
import { MappingError } from '../domain/errors.ts'
import {
  OrganizationSchema,
  OrganizationStatus as ProtoStatus,
  type Organization as ProtoOrganization,
} from './gen/ponix/organization/v1/organization_pb.ts'
import { optionalInstant, requiredInstant, timestampFromInstant } from './timestamp.ts'

const TO_PROTO = {
  pending: ProtoStatus.PENDING,
  active: ProtoStatus.ACTIVE,
  inactive: ProtoStatus.INACTIVE,
} as const satisfies Record<OrganizationStatus, ProtoStatus>

const FROM_PROTO: ReadonlyMap<ProtoStatus, OrganizationStatus> = new Map([
  [ProtoStatus.PENDING, 'pending'],
  [ProtoStatus.ACTIVE, 'active'],
  [ProtoStatus.INACTIVE, 'inactive'],
])

/** Null for UNSPECIFIED and for a number that this version does not know. */
export function organizationStatusFromProto(status: ProtoStatus): OrganizationStatus | null {
  return FROM_PROTO.get(status) ?? null
}

export function organizationToProto(organization: Organization): ProtoOrganization {
  return create(OrganizationSchema, {
    id: organization.id,
    name: organization.name,
    status: TO_PROTO[organization.status],
    createdAt: timestampFromInstant(organization.createdAt),
    updatedAt: timestampFromInstant(organization.updatedAt),
    ...(organization.deletedAt === null ? {} : { deletedAt: timestampFromInstant(organization.deletedAt) }),
  })
}

/** Throws a MappingError for a missing time or an unknown status. */
function organizationFromProto(message: ProtoOrganization): Organization {
  const status = organizationStatusFromProto(message.status)
  if (status === null) throw new MappingError(`organization.status is unknown: ${message.status}`)
  return {
    id: message.id,
    name: message.name,
    status,
    createdAt: requiredInstant('organization.created_at', message.createdAt),
    updatedAt: requiredInstant('organization.updated_at', message.updatedAt),
    deletedAt: optionalInstant(message.deletedAt),
  }
}

export function encodeOrganization(organization: Organization): Uint8Array {
  return toBinary(OrganizationSchema, organizationToProto(organization))
}

/** Throws a MappingError for anything but a whole Organization. */
export function decodeOrganization(bytes: Uint8Array): Organization {
  return organizationFromProto(decodeMessage(OrganizationSchema, bytes))
}
