import type { EndDevice } from '../../src/domain/entities.ts'
import type { EndDeviceService } from '../../src/domain/end-device-service.ts'
import { endDeviceToProto } from '../../src/proto/entities.ts'
import {
  EndDeviceService as Service,
  type EndDevice as ProtoEndDevice,
} from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import type { CallContext } from './call.ts'
import { unary, type Route } from './unary.ts'

/** ponix.end_device.v1.EndDeviceService. */
export function endDeviceRoutes(endDevices: EndDeviceService): readonly Route[] {
  const { method } = Service
  return [
    unary(method.createEndDevice, async ({ organizationId, name, payloadConversion }, call) => {
      call.organizationId = organizationId
      return { endDevice: shown(await endDevices.create({ organizationId, name, payloadConversion }, call), call) }
    }),
    unary(method.getEndDevice, async ({ deviceId }, call) => ({
      endDevice: shown(await endDevices.get(deviceId, call), call),
    })),
    unary(method.listEndDevices, async ({ organizationId, pageSize, pageToken }, call) => {
      call.organizationId = organizationId
      const { items, nextPageToken } = await endDevices.list(organizationId, { pageSize, pageToken }, call)
      return { endDevices: items.map(endDeviceToProto), nextPageToken }
    }),
    unary(method.updateEndDevice, async ({ deviceId, name, payloadConversion }, call) => ({
      endDevice: shown(await endDevices.update(deviceId, { name, payloadConversion }, call), call),
    })),
    unary(method.deleteEndDevice, async ({ deviceId }, call) => {
      shown(await endDevices.delete(deviceId, call), call)
      return {}
    }),
  ]
}

function shown(device: EndDevice, call: CallContext): ProtoEndDevice {
  call.organizationId = device.organizationId
  return endDeviceToProto(device)
}
