import { create, toBinary } from '@bufbuild/protobuf'
import type { EndDevice } from '../domain/end-device.ts'
import { decodeMessage } from './binary.ts'
import { EndDeviceSchema, type EndDevice as ProtoEndDevice } from './gen/ponix/end_device/v1/end_device_pb.ts'
import { optionalInstant, requiredInstant, timestampFromInstant } from './timestamp.ts'

export function endDeviceToProto(device: EndDevice): ProtoEndDevice {
  return create(EndDeviceSchema, {
    deviceId: device.deviceId,
    organizationId: device.organizationId,
    name: device.name,
    createdAt: timestampFromInstant(device.createdAt),
    updatedAt: timestampFromInstant(device.updatedAt),
    payloadConversion: device.payloadConversion,
    ...(device.lastSeenAt === null ? {} : { lastSeenAt: timestampFromInstant(device.lastSeenAt) }),
  })
}

/** Throws a MappingError for a missing time. */
function endDeviceFromProto(message: ProtoEndDevice): EndDevice {
  return {
    deviceId: message.deviceId,
    organizationId: message.organizationId,
    name: message.name,
    payloadConversion: message.payloadConversion,
    createdAt: requiredInstant('end_device.created_at', message.createdAt),
    updatedAt: requiredInstant('end_device.updated_at', message.updatedAt),
    lastSeenAt: optionalInstant(message.lastSeenAt),
  }
}

export function encodeEndDevice(device: EndDevice): Uint8Array {
  return toBinary(EndDeviceSchema, endDeviceToProto(device))
}

/** Throws a MappingError for anything but a whole EndDevice. */
export function decodeEndDevice(bytes: Uint8Array): EndDevice {
  return endDeviceFromProto(decodeMessage(EndDeviceSchema, bytes))
}
