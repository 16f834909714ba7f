import { GatewayStatus } from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { entity } from './entity.ts'
import { MessageWriter } from '../../src/proto/message-writer.ts'
import { instant, key, text, timestampValue, type TypedRow } from './typed-row.ts'

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

const writer = new MessageWriter()

/** The field numbers are those of the proto files, which a test compares. */
function encode(row: TypedRow<typeof columns>): Uint8Array {
  return (
    writer
      .begin()
      .string(1, row.gateway_id)
      .string(2, row.organization_id)
      .string(3, row.name)
      .enum(4, STATUSES[row.status ?? ''] ?? GatewayStatus.UNSPECIFIED)
      .timestamp(6, timestampValue('created_at', row.created_at))
      .timestamp(7, timestampValue('updated_at', row.updated_at))
      .timestamp(8, timestampValue('deleted_at', row.deleted_at))
      .string(10, row.gateway_type)
      // The text that PostgreSQL keeps: reading it as JSON here could only lose digits.
      .string(11, row.gateway_config)
      .finish()
  )
}
