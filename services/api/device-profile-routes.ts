import type { DeviceProfileService } from '../../src/domain/codecs/device-profile-service.ts'
import type { DeviceProfile } from '../../src/domain/codecs/device-profile.ts'
import { codecFromProto, deviceProfileToProto, sampleFromProto } from '../../src/proto/device-profile.ts'
import {
  DeviceProfileService as DeviceProfiles,
  type DeviceProfile as ProtoDeviceProfile,
} from '../../src/proto/gen/ponix/device_profile/v1/device_profile_pb.ts'
import { type CallContext, unary, type Route } from './route.ts'

/** Returns the routes of ponix.device_profile.v1.DeviceProfileService. */
export function deviceProfileRoutes(profiles: DeviceProfileService): readonly Route[] {
  const { method } = DeviceProfiles
  return [
    unary(method.createDeviceProfile, async ({ organizationId, name, codec, samples, fields, skipSamples }, call) => {
      call.organizationId = organizationId
      const input = {
        organizationId,
        name,
        codec: codecFromProto(codec),
        samples: samples.map(sampleFromProto),
        fields: fields.map(fieldFromProto),
        skipSamples,
      }
      return { deviceProfile: shownProfile(await profiles.create(input, call), call) }
    }),
    unary(method.getDeviceProfile, async ({ profileId }, call) => ({
      deviceProfile: shownProfile(await profiles.get(profileId, call), call),
    })),
    unary(method.listDeviceProfiles, async ({ organizationId, pageSize, pageToken }, call) => {
      call.organizationId = organizationId
      const { items, nextPageToken } = await profiles.list(organizationId, { pageSize, pageToken }, call)
      return { deviceProfiles: items.map(deviceProfileToProto), nextPageToken }
    }),
    unary(method.updateDeviceProfile, async ({ profileId, name, codec, samples, fields, skipSamples }, call) => {
      const change = {
        name,
        codec: codec === undefined ? undefined : codecFromProto(codec),
        samples: samples?.samples.map(sampleFromProto),
        fields: fields?.fields.map(fieldFromProto),
        skipSamples,
      }
      return { deviceProfile: shownProfile(await profiles.update(profileId, change, call), call) }
    }),
    unary(method.deleteDeviceProfile, async ({ profileId }, call) => {
      shownProfile(await profiles.delete(profileId, call), call)
      return {}
    }),
  ]
}

function fieldFromProto({ path, unit, name }: ProtoDeviceProfile['fields'][number]): DeviceProfile['fields'][number] {
  return { path, unit, name }
}

function shownProfile(profile: DeviceProfile, call: CallContext): ProtoDeviceProfile {
  call.organizationId = profile.organizationId
  return deviceProfileToProto(profile)
}
