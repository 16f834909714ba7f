import { create, toBinary } from '@bufbuild/protobuf'
import { GatewaySchema, GatewayStatus } from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { entity } from './entity.ts'
import { instant, key, text, timestampField, type TypedRow } from './typed-row.ts'

const columns = {
  gateway_id: key,
  organization_id: text,
  name: text,
  gateway_type: text,
  gateway_config: text,
  status: text,
  created_at: instant,
  updated_at: instant,
  deleted_at: instant,
} as const

const STATUSES: Readonly<Record<string, GatewayStatus>> = {
  active: GatewayStatus.ACTIVE,
  error: GatewayStatus.ERROR,
  pending: GatewayStatus.PENDING,
}

/** `gateway.create`, `gateway.update`, `gateway.delete` with a Gateway. */
export const gatewayEntity = entity({
  name: 'gateway',
  table: { schema: 'public', table: 'gateways' },
  key: 'gateway_id',
  columns,
  converter: { create: encode, update: encode, delete: encode },
})

function encode(row: TypedRow<typeof columns>): Uint8Array {
  const message = create(GatewaySchema)
  message.gatewayId = row.gateway_id
  message.organizationId = row.organization_id ?? ''
  message.name = row.name ?? ''
  message.status = STATUSES[row.status ?? ''] ?? GatewayStatus.UNSPECIFIED
  message.createdAt = timestampField('created_at', row.created_at)
  message.updatedAt = timestampField('updated_at', row.updated_at)
  message.deletedAt = timestampField('deleted_at', row.deleted_at)
  message.gatewayType = row.gateway_type ?? ''
  // The text that PostgreSQL keeps: reading it as JSON here could only lose digits.
  message.gatewayConfig = row.gateway_config ?? ''
  return toBinary(GatewaySchema, message)
}
