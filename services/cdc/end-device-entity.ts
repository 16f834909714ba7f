import { entity } from './entity.ts'
import { MessageWriter } from '../../src/proto/message-writer.ts'
import { instant, key, text, timestampValue, type TypedRow } from './typed-row.ts'

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

const writer = new MessageWriter()

/** The field numbers are those of the proto files, which a test compares. */
function encode(row: TypedRow<typeof columns>): Uint8Array {
  return writer
    .begin()
    .string(1, row.device_id)
    .string(2, row.organization_id)
    .string(3, row.name)
    .timestamp(4, timestampValue('created_at', row.created_at))
    .timestamp(5, timestampValue('updated_at', row.updated_at))
    .string(6, row.payload_conversion)
    .finish()
}
