import { setTimeout as sleep } from 'node:timers/promises'
import { BatchLoader } from '../../src/domain/batch-loader.ts'
import type { Codec } from '../../src/domain/codecs/codec.ts'
import type { EndDevice } from '../../src/domain/entities.ts'
import { DomainError } from '../../src/domain/errors.ts'
import type {
  DeviceProfileRepository,
  EndDeviceRepository,
  OrganizationRepository,
  ProfileCodec,
} from '../../src/domain/ports.ts'
import type { ChangeListener } from './device-changes.ts'
import { LookupCache } from './lookup-cache.ts'

export type DeviceLookup =
  /** `codec` is null while the device has none; `profile` has it if the device itself has none. */
  | {
      readonly kind: 'known'
      readonly organizationId: string
      readonly codec: Codec | null
      readonly profile?: { readonly id: string; readonly name: string }
    }
  | { readonly kind: 'unknown_device' }
  /** The organization of the device is deleted or missing. */
  | { readonly kind: 'unknown_organization'; readonly organizationId: string }

type FoundDevice = DeviceLookup | { readonly kind: 'missing_profile'; readonly organizationId: string }

export interface DeviceDirectoryParts {
  readonly endDevices: Pick<EndDeviceRepository, 'getMany'>
  readonly organizations: Pick<OrganizationRepository, 'getMany'>
  readonly profiles: Pick<DeviceProfileRepository, 'getCodecs'>
  /** Returns whether every change is currently reported to the directory. */
  cdcAvailable(): boolean
  /** Returns the time of a monotonic clock in milliseconds. */
  now?(): number
  /** Backoff while the store is unavailable. */
  readonly retryDelaysMs?: { readonly first: number; readonly longest: number }
}

const MAX_ENTRIES = 50_000
/** Total characters of cached codecs and ids. */
const MAX_CHARACTERS = 16 * 1024 * 1024
const ENTRY_CHARACTERS = 100

interface KnownDevice {
  readonly organizationId: string
  /** The device's own codec. */
  readonly codec: Codec | null
  /** The profile that has the codec; empty if the device has a codec of its own, or neither. */
  readonly profileId: string
}

/** Looks up devices, their organizations and their profiles in the store, through a cache that CDC events invalidate. */
export class DeviceDirectory implements ChangeListener {
  readonly #parts: DeviceDirectoryParts
  readonly #devices: LookupCache<KnownDevice | null>
  readonly #organizations: LookupCache<boolean>
  readonly #profiles: LookupCache<ProfileCodec | null>
  readonly #deviceLoader: BatchLoader<KnownDevice>
  readonly #organizationLoader: BatchLoader<true>
  readonly #profileLoader: BatchLoader<ProfileCodec>

  constructor(parts: DeviceDirectoryParts) {
    this.#parts = parts
    const common = {
      now: (): number => parts.now?.() ?? performance.now(),
      cdcAvailable: () => parts.cdcAvailable(),
      maxEntries: MAX_ENTRIES,
      maxWeight: MAX_CHARACTERS,
    }
    this.#devices = new LookupCache({ ...common, weightOf: charactersOf })
    this.#organizations = new LookupCache({ ...common, weightOf: () => ENTRY_CHARACTERS })
    this.#profiles = new LookupCache({ ...common, weightOf: charactersOfProfile })
    this.#deviceLoader = new BatchLoader(async (ids, signal) => {
      const found = await this.#retry(signal, () => parts.endDevices.getMany(ids, { signal }))
      return new Map([...found].map(([id, device]) => [id, knownDevice(device)]))
    })
    this.#organizationLoader = new BatchLoader(async (ids, signal) => {
      const found = await this.#retry(signal, () => parts.organizations.getMany(ids, { signal }))
      return new Map([...found.keys()].map((id) => [id, true]))
    })
    this.#profileLoader = new BatchLoader((ids, signal) =>
      this.#retry(signal, () => parts.profiles.getCodecs(ids, { signal })),
    )
  }

  deviceChanged({ deviceId }: Pick<EndDevice, 'deviceId'>): void {
    this.#devices.invalidate(deviceId)
  }

  organizationChanged(id: string): void {
    this.#organizations.invalidate(id)
  }

  profileChanged(id: string): void {
    this.#profiles.invalidate(id)
  }

  anythingChanged(): void {
    this.#devices.clear()
    this.#profiles.clear()
    this.#organizations.clear()
  }

  /**
   * Looks up a device, synchronously for cached values. Waits while the store is unavailable: an outage is no evidence against an
   * envelope. Rejects when the signal aborts, and with any other error of the store.
   */
  lookUp(deviceId: string, signal: AbortSignal): DeviceLookup | Promise<DeviceLookup> {
    const found = this.#read(deviceId, signal)
    if (found instanceof Promise) return found.then((read) => this.#confirm(deviceId, read, signal))
    return this.#confirm(deviceId, found, signal)
  }

  /**
   * Reads a device again whose profile is missing: a profile is deleted only after its devices have changed, so the device was read
   * before it changed.
   */
  #confirm(deviceId: string, found: FoundDevice, signal: AbortSignal): DeviceLookup | Promise<DeviceLookup> {
    if (found.kind !== 'missing_profile') return found
    this.#devices.invalidate(deviceId)
    return Promise.resolve(this.#read(deviceId, signal)).then((again) =>
      again.kind === 'missing_profile' ? { ...again, kind: 'known', codec: null } : again,
    )
  }

  #read(deviceId: string, signal: AbortSignal): FoundDevice | Promise<FoundDevice> {
    const device = this.#devices.get(deviceId, () => this.#deviceLoader.load(deviceId, signal))
    return device instanceof Promise
      ? device.then((found) => this.#withOrganization(found, signal))
      : this.#withOrganization(device, signal)
  }

  #withOrganization(device: KnownDevice | null, signal: AbortSignal): FoundDevice | Promise<FoundDevice> {
    if (device === null) return { kind: 'unknown_device' }
    const { organizationId } = device
    const exists = this.#organizations.get(
      organizationId,
      async () => (await this.#organizationLoader.load(organizationId, signal)) !== null,
    )
    return exists instanceof Promise
      ? exists.then((known) => this.#withProfile(device, known, signal))
      : this.#withProfile(device, exists, signal)
  }

  #withProfile(device: KnownDevice, exists: boolean, signal: AbortSignal): FoundDevice | Promise<FoundDevice> {
    const { organizationId, codec, profileId } = device
    if (!exists) return { kind: 'unknown_organization', organizationId }
    if (profileId === '') return { kind: 'known', organizationId, codec }
    const profile = this.#profiles.get(profileId, () => this.#profileLoader.load(profileId, signal))
    return profile instanceof Promise ? profile.then((found) => lookupOf(device, found)) : lookupOf(device, profile)
  }

  async #retry<T>(signal: AbortSignal, query: () => Promise<T>): Promise<T> {
    const { first, longest } = this.#parts.retryDelaysMs ?? { first: 100, longest: 5000 }
    for (let delayMs = first; ; delayMs = Math.min(delayMs * 2, longest)) {
      try {
        return await query()
      } catch (error) {
        if (!(error instanceof DomainError) || error.code !== 'unavailable') throw error
      }
      await sleep(delayMs, undefined, { signal })
    }
  }
}

function knownDevice({ organizationId, payloadConversion, profileId }: EndDevice): KnownDevice {
  if (payloadConversion === '') return { organizationId, codec: null, profileId }
  return { organizationId, codec: { kind: 'cel', source: payloadConversion }, profileId: '' }
}

function lookupOf({ organizationId, profileId }: KnownDevice, found: ProfileCodec | null): FoundDevice {
  if (found === null) return { kind: 'missing_profile', organizationId }
  const { kind, source, profileName } = found
  return { kind: 'known', organizationId, codec: { kind, source }, profile: { id: profileId, name: profileName } }
}

function charactersOfProfile(profile: ProfileCodec | null): number {
  return ENTRY_CHARACTERS + (profile === null ? 0 : profile.profileName.length + profile.source.length)
}

function charactersOf(device: KnownDevice | null): number {
  return ENTRY_CHARACTERS + (device === null ? 0 : device.organizationId.length + (device.codec?.source.length ?? 0))
}
