import type { Codec } from '../../src/domain/codecs/codec.ts'
import type { ProfileSample } from '../../src/domain/codecs/device-profile.ts'
import { StartupError } from '../../src/domain/errors.ts'
import { CODEC_KIND, codecFromProto, sampleFromProto, sampleToProto } from '../../src/proto/device-profile.ts'
import {
  DeviceProfileService,
  type DeviceProfile,
} from '../../src/proto/gen/ponix/device_profile/v1/device_profile_pb.ts'
import { GrpcClient } from '../../src/proto/grpc.ts'

const { createDeviceProfile, getDeviceProfile, listDeviceProfiles, updateDeviceProfile } = DeviceProfileService.method

/** A device profile, as far as files have it. */
export interface Profile {
  readonly profileId: string
  /** Empty for a profile that all organizations share. */
  readonly organizationId: string
  readonly name: string
  readonly codec: Codec
  readonly samples: readonly ProfileSample[]
}

/** The parts of a profile that a change replaces. */
export interface ProfileChange {
  readonly codec?: Codec
  readonly samples?: readonly ProfileSample[]
}

/** Reads and writes device profiles through the api. Its errors are one line with the address of the api. */
export class ProfileClient {
  readonly #address: string
  readonly #api: GrpcClient

  /** `address` is host:port. */
  constructor(address: string) {
    this.#address = address
    this.#api = new GrpcClient(address)
  }

  /** Returns the only profile with this name that the organization owns; with an empty organization, the shared one. */
  async find(organizationId: string, name: string): Promise<Profile | undefined> {
    const found: string[] = []
    let pageToken = ''
    do {
      const request = { organizationId, pageSize: 500, pageToken }
      const page = await this.#call(() => this.#api.call(listDeviceProfiles, request))
      const own = page.deviceProfiles.filter((each) => each.organizationId === organizationId && each.name === name)
      found.push(...own.map(({ profileId }) => profileId))
      ;({ nextPageToken: pageToken } = page)
    } while (pageToken !== '')
    const [id, ...others] = found
    if (others.length > 0)
      throw new StartupError(
        `${found.length} profiles have the name "${name}": ${found.join(', ')}; ` +
          'delete all but one (DeleteDeviceProfile), or give them other names (UpdateDeviceProfile)',
      )
    return id === undefined ? undefined : this.get(id)
  }

  async get(profileId: string): Promise<Profile> {
    const { deviceProfile } = await this.#call(() => this.#api.call(getDeviceProfile, { profileId }))
    return this.#profile(deviceProfile)
  }

  /** Creates a profile; `skipSamples` stores it although a sample fails. */
  async create(profile: Omit<Profile, 'profileId'>, skipSamples: boolean): Promise<Profile> {
    const { organizationId, name, codec, samples } = profile
    const request = { organizationId, name, codec: toProto(codec), samples: samples.map(sampleToProto), skipSamples }
    const { deviceProfile } = await this.#call(() => this.#api.call(createDeviceProfile, request))
    return this.#profile(deviceProfile)
  }

  async update(profileId: string, { codec, samples }: ProfileChange, skipSamples: boolean): Promise<Profile> {
    const request = {
      profileId,
      skipSamples,
      ...(codec === undefined ? {} : { codec: toProto(codec) }),
      ...(samples === undefined ? {} : { samples: { samples: samples.map(sampleToProto) } }),
    }
    const { deviceProfile } = await this.#call(() => this.#api.call(updateDeviceProfile, request))
    return this.#profile(deviceProfile)
  }

  close(): void {
    this.#api.close()
  }

  async #call<Answer>(call: () => Promise<Answer>): Promise<Answer> {
    try {
      return await call()
    } catch (error) {
      if (!(error instanceof Error) || !('details' in error)) throw error
      throw new StartupError(`the api at ${this.#address}: ${String(error.details)}`, { cause: error })
    }
  }

  #profile(profile: DeviceProfile | undefined): Profile {
    const codec = codecFromProto(profile?.codec)
    if (profile === undefined || codec === null) {
      throw new StartupError(`the api at ${this.#address}: the profile has no codec that this version knows`)
    }
    const { profileId, organizationId, name, samples } = profile
    return { profileId, organizationId, name, codec, samples: samples.map(sampleFromProto) }
  }
}

function toProto({ kind, source }: Codec) {
  return { kind: CODEC_KIND[kind], source }
}
