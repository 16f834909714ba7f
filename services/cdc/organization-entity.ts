import { create, toBinary } from '@bufbuild/protobuf'
import { OrganizationSchema, OrganizationStatus } from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { entity } from './entity.ts'
import { instant, key, text, timestampField, type TypedRow } from './typed-row.ts'

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

function encode(row: TypedRow<typeof columns>): Uint8Array {
  const message = create(OrganizationSchema)
  message.id = row.id
  message.name = row.name ?? ''
  message.status = STATUSES[row.status ?? ''] ?? OrganizationStatus.UNSPECIFIED
  message.createdAt = timestampField('created_at', row.created_at)
  message.updatedAt = timestampField('updated_at', row.updated_at)
  message.deletedAt = timestampField('deleted_at', row.deleted_at)
  return toBinary(OrganizationSchema, message)
}
