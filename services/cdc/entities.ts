import type { CapturedTable } from '../../src/postgres/replication/change.ts'
import { GATEWAY_STATUS, ORGANIZATION_STATUS } from '../../src/proto/entities.ts'
import { MessageWriter } from '../../src/proto/message-writer.ts'
import { entity, key, text, timestamp, type Entity, type TypedRow } from './entity.ts'

// The field numbers below are those of the .proto files; a test compares the bodies with protobuf-es.
const writer = new MessageWriter()

const organizationColumns = {
  id: key,
  name: text,
  status: text,
  created_at: timestamp,
  updated_at: timestamp,
  deleted_at: timestamp,
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
    .finish()
}

const endDeviceColumns = {
  device_id: key,
  organization_id: text,
  name: text,
  payload_conversion: text,
  external_id: text,
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
    .finish()
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

/** Returns the number of a status; UNSPECIFIED if it is unknown to this version. */
function statusNumber(numbers: Readonly<Record<string, number>>, status: string | undefined): number {
  return numbers[status ?? ''] ?? 0
}

export const ENTITIES: readonly Entity[] = [organizationEntity, endDeviceEntity, gatewayEntity]

export const CAPTURED_TABLES: readonly CapturedTable[] = ENTITIES.map(({ table, key, columns, readsOldOnUpdate }) => ({
  ...table,
  key,
  oldColumns: columns,
  wantsOldOnUpdate: readsOldOnUpdate,
}))
