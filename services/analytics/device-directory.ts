import { setTimeout as sleep } from 'node:timers/promises'
import type { EndDevice } from '../../src/domain/end-device.ts'
import { DomainError } from '../../src/domain/errors.ts'
import type { EndDeviceRepository, OrganizationRepository } from '../../src/domain/ports.ts'
import type { ChangeListener } from './device-changes.ts'
import { LookupCache } from './lookup-cache.ts'

/** What is known of the device of an envelope. */
export type DeviceLookup =
  /** `expression` is empty while the device has none. */
  | { readonly kind: 'known'; readonly organizationId: string; readonly expression: string }
  | { readonly kind: 'unknown_device' }
  /** The organization that the device belongs to is deleted or missing. */
  | { readonly kind: 'unknown_organization'; readonly organizationId: string }

export interface DeviceDirectoryParts {
  readonly endDevices: Pick<EndDeviceRepository, 'get'>
  readonly organizations: Pick<OrganizationRepository, 'get'>
  /** Whether every change is told of now. By default none is, and what was looked up is asked for again within a second. */
  changesAreKnown?(): boolean
  /** A monotonic clock in milliseconds. */
  now?(): number
  /** First and longest pause between two tries while the store does not answer. */
  readonly retryDelaysMs?: { readonly first: number; readonly longest: number }
}

const MAX_ENTRIES = 50_000
/** Characters of expressions and ids that are kept. */
const MAX_CHARACTERS = 16 * 1024 * 1024
const ENTRY_CHARACTERS = 100

type KnownDevice = Pick<EndDevice, 'organizationId' | 'payloadConversion'>

/** Devices with their organizations, as PostgreSQL has them; remembered until they change, as far as that is known (P-6). */
export class DeviceDirectory implements ChangeListener {
  readonly #parts: DeviceDirectoryParts
  readonly #devices: LookupCache<KnownDevice | null>
  readonly #organizations: LookupCache<boolean>

  constructor(parts: DeviceDirectoryParts) {
    this.#parts = parts
    const common = {
      now: (): number => parts.now?.() ?? performance.now(),
      changesAreKnown: () => parts.changesAreKnown?.() ?? false,
      maxEntries: MAX_ENTRIES,
      maxWeight: MAX_CHARACTERS,
    }
    this.#devices = new LookupCache({ ...common, weightOf: charactersOf })
    this.#organizations = new LookupCache({ ...common, weightOf: () => ENTRY_CHARACTERS })
  }

  deviceChanged(deviceId: string): void {
    this.#devices.invalidate(deviceId)
  }

  organizationChanged(id: string): void {
    this.#organizations.invalidate(id)
  }

  anythingChanged(): void {
    this.#devices.clear()
    this.#organizations.clear()
  }

  /**
   * At once what is known. While the store does not answer it waits: an outage says nothing about an envelope. Rejects when the
   * signal aborts, and with what the store says other than that it is unavailable.
   */
  lookUp(deviceId: string, signal: AbortSignal): DeviceLookup | Promise<DeviceLookup> {
    const device = this.#deviceOf(deviceId, signal)
    return device instanceof Promise ? device.then((found) => this.#whole(found, signal)) : this.#whole(device, signal)
  }

  #whole(device: KnownDevice | null, signal: AbortSignal): DeviceLookup | Promise<DeviceLookup> {
    if (device === null) return { kind: 'unknown_device' }
    const exists = this.#organizationExists(device.organizationId, signal)
    return exists instanceof Promise ? exists.then((known) => lookupOf(device, known)) : lookupOf(device, exists)
  }

  #deviceOf(deviceId: string, signal: AbortSignal): KnownDevice | null | Promise<KnownDevice | null> {
    return this.#devices.get(deviceId, async () => {
      const found = await this.#patiently(signal, () => this.#parts.endDevices.get(deviceId, { signal }))
      return found && { organizationId: found.organizationId, payloadConversion: found.payloadConversion }
    })
  }

  #organizationExists(organizationId: string, signal: AbortSignal): boolean | Promise<boolean> {
    return this.#organizations.get(organizationId, async () => {
      const found = await this.#patiently(signal, () => this.#parts.organizations.get(organizationId, { signal }))
      return found !== null
    })
  }

  async #patiently<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
    const { first, longest } = this.#parts.retryDelaysMs ?? { first: 100, longest: 5000 }
    for (let delayMs = first; ; delayMs = Math.min(delayMs * 2, longest)) {
      try {
        return await ask()
      } catch (error) {
        if (!(error instanceof DomainError) || error.code !== 'unavailable') throw error
      }
      await sleep(delayMs, undefined, { signal })
    }
  }
}

function lookupOf({ organizationId, payloadConversion: expression }: KnownDevice, exists: boolean): DeviceLookup {
  return exists ? { kind: 'known', organizationId, expression } : { kind: 'unknown_organization', organizationId }
}

function charactersOf(device: KnownDevice | null): number {
  return ENTRY_CHARACTERS + (device === null ? 0 : device.organizationId.length + device.payloadConversion.length)
}
