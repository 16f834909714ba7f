import { create, toBinary } from '@bufbuild/protobuf'
import { EndDeviceSchema } from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { entity } from './entity.ts'
import { instant, key, text, timestampField, type TypedRow } from './typed-row.ts'

const columns = {
  device_id: key,
  organization_id: text,
  name: text,
  payload_conversion: text,
  created_at: instant,
  updated_at: instant,
} as const

/** `end_device.create`, `end_device.update`, `end_device.delete` with an EndDevice. */
export const endDeviceEntity = entity({
  name: 'end_device',
  table: { schema: 'public', table: 'end_devices' },
  key: 'device_id',
  columns,
  converter: { create: encode, update: encode, delete: encode },
})

function encode(row: TypedRow<typeof columns>): Uint8Array {
  const message = create(EndDeviceSchema)
  message.deviceId = row.device_id
  message.organizationId = row.organization_id ?? ''
  message.name = row.name ?? ''
  message.payloadConversion = row.payload_conversion ?? ''
  message.createdAt = timestampField('created_at', row.created_at)
  message.updatedAt = timestampField('updated_at', row.updated_at)
  return toBinary(EndDeviceSchema, message)
}
