import { setTimeout as sleep } from 'node:timers/promises'
import type { EndDevice } from '../../src/domain/entities.ts'
import { DomainError } from '../../src/domain/errors.ts'
import type { EndDeviceRepository, OrganizationRepository } from '../../src/domain/ports.ts'
import type { ChangeListener } from './device-changes.ts'

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

export interface LookupCacheOptions<V> {
  /** A monotonic clock in milliseconds. */
  now(): number
  /** Whether `invalidate` is called for every change now: then values may be kept for long. */
  changesAreKnown(): boolean
  /** What is kept of a value, in a unit of one's own. */
  weightOf(value: V): number
  readonly maxWeight: number
  readonly maxEntries: number
}

/** Milliseconds that a value is used for without a word of its changes: less than a second, as P-6 wants it. */
const UNWATCHED_MS = 900
/** The same when changes are known: a second net, for an event that its sender cannot send. */
const WATCHED_MS = 30_000
/** An event may arrive a moment before the store shows the change to everybody; what is read in this time may be old. */
const UNSURE_MS = 1000
const MAX_UNSURE = 10_000

interface Entry<V> {
  /** A promise until it has been loaded. */
  value: V | Promise<V>
  /** Before the store was asked. */
  readonly askedAt: number
  readonly sure: boolean
  weight: number
}

/**
 * Remembers what was looked up until it changes, or for a short time while changes are not known; callers of the same key share
 * one load. What is loading when its key is invalidated goes to those who asked before, and is not kept. A load that fails is
 * not kept either. What was not used for longest is forgotten first.
 */
export class LookupCache<V> {
  readonly #options: LookupCacheOptions<V>
  readonly #entries = new Map<string, Entry<V>>()
  /** When which key was invalidated, the latest last; those of the last second. */
  readonly #invalidated = new Map<string, number>()
  #allUnsureUntil = -Infinity
  #weight = 0

  constructor(options: LookupCacheOptions<V>) {
    this.#options = options
  }

  get size(): number {
    return this.#entries.size
  }

  /** At once when it is known: most are, and a promise for each would cost more than all else here. */
  get(key: string, load: () => Promise<V>): V | Promise<V> {
    const known = this.#entries.get(key)
    if (known !== undefined && this.#isValid(known)) {
      this.#entries.delete(key)
      this.#entries.set(key, known)
      return known.value
    }
    this.#forget(key)
    return this.#load(key, load)
  }

  /** The value of this key has changed, or will within a moment. */
  invalidate(key: string): void {
    this.#forget(key)
    this.#invalidated.delete(key)
    this.#invalidated.set(key, this.#options.now())
    if (this.#invalidated.size > MAX_UNSURE) this.#trimInvalidated()
  }

  /** Any value may have changed. */
  clear(): void {
    this.#entries.clear()
    this.#weight = 0
    this.#invalidated.clear()
    this.#allUnsureUntil = this.#options.now() + UNSURE_MS
  }

  async #load(key: string, load: () => Promise<V>): Promise<V> {
    const entry: Entry<V> = { value: load(), askedAt: this.#options.now(), sure: this.#isSure(key), weight: 0 }
    this.#entries.set(key, entry)
    try {
      const value = await entry.value
      entry.value = value
      if (this.#entries.get(key) === entry) this.#weigh(entry, value)
      return value
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#forget(key)
      throw error
    }
  }

  #isValid({ askedAt, sure }: Entry<V>): boolean {
    const age = this.#options.now() - askedAt
    return age < UNWATCHED_MS || (sure && age < WATCHED_MS && this.#options.changesAreKnown())
  }

  #isSure(key: string): boolean {
    const now = this.#options.now()
    const invalidatedAt = this.#invalidated.get(key) ?? -Infinity
    return now >= this.#allUnsureUntil && now - invalidatedAt >= UNSURE_MS
  }

  #weigh(entry: Entry<V>, value: V): void {
    const { maxEntries, maxWeight } = this.#options
    entry.weight = this.#options.weightOf(value)
    this.#weight += entry.weight
    for (const key of this.#entries.keys()) {
      if (this.#entries.size <= maxEntries && this.#weight <= maxWeight) return
      this.#forget(key)
    }
  }

  #forget(key: string): void {
    this.#weight -= this.#entries.get(key)?.weight ?? 0
    this.#entries.delete(key)
  }

  #trimInvalidated(): void {
    const past = this.#options.now() - UNSURE_MS
    for (const [key, at] of this.#invalidated) if (at <= past) this.#invalidated.delete(key)
    // So many at once: not worth telling apart.
    if (this.#invalidated.size > MAX_UNSURE) {
      this.#invalidated.clear()
      this.#allUnsureUntil = this.#options.now() + UNSURE_MS
    }
  }
}
