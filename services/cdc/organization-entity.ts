import { OrganizationStatus } from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { entity } from './entity.ts'
import { MessageWriter } from '../../src/proto/message-writer.ts'
import { instant, key, text, timestampValue, type TypedRow } from './typed-row.ts'

const columns = {
  id: key,
  name: text,
  status: text,
  created_at: instant,
  updated_at: instant,
  deleted_at: instant,
} as const

const STATUSES: Readonly<Record<string, OrganizationStatus>> = {
  pending: OrganizationStatus.PENDING,
  active: OrganizationStatus.ACTIVE,
  inactive: OrganizationStatus.INACTIVE,
}

/** `organization.create`, `organization.update`, `organization.delete` with an Organization. */
export const organizationEntity = entity({
  name: 'organization',
  table: { schema: 'public', table: 'organizations' },
  key: 'id',
  columns,
  converter: { create: encode, update: encode, delete: encode },
})

const writer = new MessageWriter()

/** The field numbers are those of the proto files, which a test compares. */
function encode(row: TypedRow<typeof columns>): Uint8Array {
  return writer
    .begin()
    .string(1, row.id)
    .string(2, row.name)
    .enum(3, STATUSES[row.status ?? ''] ?? OrganizationStatus.UNSPECIFIED)
    .timestamp(4, timestampValue('created_at', row.created_at))
    .timestamp(5, timestampValue('updated_at', row.updated_at))
    .timestamp(6, timestampValue('deleted_at', row.deleted_at))
    .finish()
}
