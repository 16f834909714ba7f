import { setTimeout as sleep } from 'node:timers/promises'
import type { EndDevice } from '../../src/domain/end-device.ts'
import { DomainError } from '../../src/domain/errors.ts'
import type { EndDeviceRepository, OrganizationRepository } from '../../src/domain/ports.ts'
import { ShortCache } from './short-cache.ts'

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
  /** A monotonic clock in milliseconds. */
  now?(): number
  /** First and longest pause between two tries while the store does not answer. */
  readonly retryDelaysMs?: { readonly first: number; readonly longest: number }
}

/** Less than a second, so that a changed expression is used within one (P-6). */
const TIME_TO_LIVE_MS = 900
const MAX_ENTRIES = 50_000

/** Devices with their organizations, as PostgreSQL has them; remembered for less than a second. */
export class DeviceDirectory {
  readonly #parts: DeviceDirectoryParts
  readonly #devices: ShortCache<EndDevice | null>
  readonly #organizations: ShortCache<boolean>

  constructor(parts: DeviceDirectoryParts) {
    this.#parts = parts
    const now = (): number => parts.now?.() ?? performance.now()
    this.#devices = new ShortCache({ timeToLiveMs: TIME_TO_LIVE_MS, maxEntries: MAX_ENTRIES, now })
    this.#organizations = new ShortCache({ timeToLiveMs: TIME_TO_LIVE_MS, maxEntries: MAX_ENTRIES, now })
  }

  /**
   * While the store does not answer it waits: an outage says nothing about an envelope. Rejects when the signal aborts, and
   * with what the store says other than that it is unavailable.
   */
  async lookUp(deviceId: string, signal: AbortSignal): Promise<DeviceLookup> {
    const { endDevices, organizations } = this.#parts
    const device = await this.#devices.get(deviceId, () =>
      this.#patiently(signal, () => endDevices.get(deviceId, { signal })),
    )
    if (device === null) return { kind: 'unknown_device' }
    const { organizationId, payloadConversion } = device
    const exists = await this.#organizations.get(organizationId, async () => {
      const organization = await this.#patiently(signal, () => organizations.get(organizationId, { signal }))
      return organization !== null
    })
    if (!exists) return { kind: 'unknown_organization', organizationId }
    return { kind: 'known', organizationId, expression: payloadConversion }
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
