import { create, toBinary } from '@bufbuild/protobuf'
import type { CapturedTable } from '../../src/postgres/replication/change.ts'
import { CODEC_KIND } from '../../src/proto/device-profile.ts'
import { GATEWAY_STATUS, ORGANIZATION_STATUS } from '../../src/proto/entities.ts'
import { DeviceProfileSchema } from '../../src/proto/gen/ponix/device_profile/v1/device_profile_pb.ts'
import { MessageWriter } from '../../src/proto/message-writer.ts'
import { optionalTimestamp } from '../../src/proto/timestamp.ts'
import { count, entity, key, text, timestamp, type Entity, type TypedRow } from './entity.ts'

// The field numbers below are those of the .proto files; a test compares the bodies with protobuf-es.
const writer = new MessageWriter()

const organizationColumns = {
  id: key,
  name: text,
  status: text,
  created_at: timestamp,
  updated_at: timestamp,
  deleted_at: timestamp,
  retention_days: count,
} as const

export const organizationEntity = entity({
  name: 'organization',
  table: { schema: 'public', table: 'organizations' },
  key: 'id',
  columns: organizationColumns,
  converter: { create: encodeOrganization, update: encodeOrganization, delete: encodeOrganization },
})

function encodeOrganization(row: TypedRow<typeof organizationColumns>): Uint8Array {
  return writer
    .begin()
    .string(1, row.id)
    .string(2, row.name)
    .enum(3, statusNumber(ORGANIZATION_STATUS, row.status))
    .timestamp(4, row.created_at)
    .timestamp(5, row.updated_at)
    .timestamp(6, row.deleted_at)
    .uint(7, row.retention_days ?? 0)
    .finish()
}

const endDeviceColumns = {
  device_id: key,
  organization_id: text,
  name: text,
  payload_conversion: text,
  external_id: text,
  profile_id: text,
  created_at: timestamp,
  updated_at: timestamp,
} as const

export const endDeviceEntity = entity({
  name: 'end_device',
  table: { schema: 'public', table: 'end_devices' },
  key: 'device_id',
  columns: endDeviceColumns,
  converter: { create: encodeEndDevice, update: encodeEndDevice, delete: encodeEndDevice },
})

function encodeEndDevice(row: TypedRow<typeof endDeviceColumns>): Uint8Array {
  return writer
    .begin()
    .string(1, row.device_id)
    .string(2, row.organization_id)
    .string(3, row.name)
    .timestamp(4, row.created_at)
    .timestamp(5, row.updated_at)
    .string(6, row.payload_conversion)
    .string(8, row.external_id)
    .string(9, row.profile_id)
    .finish()
}

const deviceProfileColumns = {
  profile_id: key,
  organization_id: text,
  name: text,
  codec_kind: text,
  codec_source: text,
  created_at: timestamp,
  updated_at: timestamp,
} as const

/** Without samples and fields: a consumer that needs them asks the API. */
export const deviceProfileEntity = entity({
  name: 'device_profile',
  table: { schema: 'public', table: 'device_profiles' },
  key: 'profile_id',
  columns: deviceProfileColumns,
  converter: { create: encodeDeviceProfile, update: encodeDeviceProfile, delete: encodeDeviceProfile },
})

/** Profiles change rarely, so this conversion is as fast as needed without the writer. */
function encodeDeviceProfile(row: TypedRow<typeof deviceProfileColumns>): Uint8Array {
  const message = create(DeviceProfileSchema, {
    profileId: row.profile_id,
    organizationId: row.organization_id ?? '',
    name: row.name ?? '',
    codec: { kind: statusNumber(CODEC_KIND, row.codec_kind), source: row.codec_source ?? '' },
    createdAt: optionalTimestamp(row.created_at ?? null),
    updatedAt: optionalTimestamp(row.updated_at ?? null),
  })
  return toBinary(DeviceProfileSchema, message)
}

const gatewayColumns = {
  gateway_id: key,
  organization_id: text,
  name: text,
  gateway_type: text,
  gateway_config: text,
  status: text,
  created_at: timestamp,
  updated_at: timestamp,
  deleted_at: timestamp,
} as const

export const gatewayEntity = entity({
  name: 'gateway',
  table: { schema: 'public', table: 'gateways' },
  key: 'gateway_id',
  columns: gatewayColumns,
  converter: { create: encodeGateway, update: encodeGateway, delete: encodeGateway },
})

function encodeGateway(row: TypedRow<typeof gatewayColumns>): Uint8Array {
  return (
    writer
      .begin()
      .string(1, row.gateway_id)
      .string(2, row.organization_id)
      .string(3, row.name)
      .enum(4, statusNumber(GATEWAY_STATUS, row.status))
      .timestamp(6, row.created_at)
      .timestamp(7, row.updated_at)
      .timestamp(8, row.deleted_at)
      .string(10, row.gateway_type)
      // PostgreSQL's text: parsing it as JSON could lose digits.
      .string(11, row.gateway_config)
      .finish()
  )
}

/** Returns the number of a status or kind; UNSPECIFIED if it is unknown to this version. */
function statusNumber<N extends number>(numbers: Readonly<Record<string, N>>, status: string | undefined): N | 0 {
  return numbers[status ?? ''] ?? 0
}

export const ENTITIES: readonly Entity[] = [organizationEntity, deviceProfileEntity, endDeviceEntity, gatewayEntity]

export const CAPTURED_TABLES: readonly CapturedTable[] = ENTITIES.map(({ table, key, columns, readsOldOnUpdate }) => ({
  ...table,
  key,
  oldColumns: columns,
  wantsOldOnUpdate: readsOldOnUpdate,
}))
