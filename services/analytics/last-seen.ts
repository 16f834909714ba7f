import type { ProcessedEnvelope } from '../../src/domain/entities.ts'
import { messageOf } from '../../src/domain/errors.ts'
import { toRfc3339, type Instant } from '../../src/domain/instant.ts'
import type { LastSeenStore } from '../../src/postgres/end-device-repository.ts'
import type { Logger } from '../../src/runner/logger.ts'

/** A device as it was last heard by this process. */
export interface SeenDevice {
  readonly end_device_id: string
  readonly organization_id: string
  /** RFC 3339. */
  readonly last_seen: string
}

const MAX_DEVICES = 10_000

/** When each device was last heard, of those this process served; the ones not heard for longest are forgotten first. */
export class LastSeen {
  readonly #devices = new Map<string, { readonly organizationId: string; readonly at: Instant }>()
  readonly #onSeen: (endDeviceId: string, at: Instant) => void

  /** `onSeen` is told of each payload, and must not throw. */
  constructor(onSeen: (endDeviceId: string, at: Instant) => void = () => {}) {
    this.#onSeen = onSeen
  }

  /** A clock that is ahead says nothing of a device: it was not heard later than its payload was processed. */
  note({ endDeviceId, organizationId, occurredAt, processedAt }: ProcessedEnvelope): void {
    const seenAt = occurredAt > processedAt ? processedAt : occurredAt
    this.#onSeen(endDeviceId, seenAt)
    const known = this.#devices.get(endDeviceId)
    this.#devices.delete(endDeviceId)
    const at = known !== undefined && known.at > seenAt ? known.at : seenAt
    this.#devices.set(endDeviceId, { organizationId, at })
    if (this.#devices.size <= MAX_DEVICES) return
    const [oldest] = this.#devices.keys()
    if (oldest !== undefined) this.#devices.delete(oldest)
  }

  /** The latest heard first. */
  list(): readonly SeenDevice[] {
    const devices = [...this.#devices].map(([id, { organizationId, at }]) => ({
      end_device_id: id,
      organization_id: organizationId,
      last_seen: toRfc3339(at),
    }))
    return devices.sort((a, b) => (a.last_seen < b.last_seen ? 1 : -1))
  }
}

export interface LastSeenRecorderParts {
  readonly store: LastSeenStore
  readonly logger: Logger
  /** Between the end of one write and the begin of the next. Default 1000. */
  readonly intervalMs?: number
  /** Devices that wait to be written at most; those that wait longest are left out then. Default 100,000. */
  readonly maxDevices?: number
}

/** Devices in one statement. */
const MAX_BATCH = 5000
/** For what is left when the service stops. */
const CLOSE_TIMEOUT_MS = 5000

/**
 * Writes down when devices were last heard, once a second at most and each device once. Whoever notes never waits; while the
 * store is away it is kept for later.
 */
export class LastSeenRecorder {
  readonly #parts: LastSeenRecorderParts
  /** In the order in which they began to wait: whoever is heard often waits no longer than others. */
  readonly #waiting = new Map<string, Instant>()
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> | undefined
  #failing = false
  #closed = false

  constructor(parts: LastSeenRecorderParts) {
    this.#parts = parts
  }

  /** How many devices wait to be written. */
  get waiting(): number {
    return this.#waiting.size
  }

  note(deviceId: string, at: Instant): void {
    this.#keep(deviceId, at)
    this.#schedule()
  }

  /** Writes what waits, if the store is there; whatever happens it ends in bounded time. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#writing
    const signal = AbortSignal.timeout(CLOSE_TIMEOUT_MS)
    await this.#writeAll(signal)
    if (this.#waiting.size > 0)
      this.#parts.logger.warn(`of ${this.#waiting.size} devices it was not written down when they were last heard`)
  }

  #keep(deviceId: string, at: Instant): void {
    const known = this.#waiting.get(deviceId)
    this.#waiting.set(deviceId, known !== undefined && known > at ? known : at)
    if (this.#waiting.size <= (this.#parts.maxDevices ?? 100_000)) return
    const [longest] = this.#waiting.keys()
    if (longest !== undefined) this.#waiting.delete(longest)
  }

  #take(deviceIds: readonly string[]): Map<string, Instant> {
    const taken = new Map<string, Instant>()
    for (const deviceId of deviceIds) {
      const at = this.#waiting.get(deviceId)
      if (at !== undefined) taken.set(deviceId, at)
      this.#waiting.delete(deviceId)
    }
    return taken
  }

  #schedule(): void {
    if (this.#closed || this.#timer !== undefined || this.#writing !== undefined || this.#waiting.size === 0) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#writing = this.#writeAll().then(() => {
        this.#writing = undefined
        this.#schedule()
      })
    }, this.#parts.intervalMs ?? 1000)
  }

  /** What waits now, in parts, as long as the store takes them. */
  async #writeAll(signal?: AbortSignal): Promise<void> {
    const all = [...this.#waiting.keys()]
    for (let start = 0; start < all.length; start += MAX_BATCH)
      if (!(await this.#write(all.slice(start, start + MAX_BATCH), signal))) return
  }

  /** Says whether the store took it. */
  async #write(deviceIds: readonly string[], signal: AbortSignal | undefined): Promise<boolean> {
    const batch = this.#take(deviceIds)
    if (batch.size === 0) return true
    try {
      await this.#parts.store.record(batch, { signal })
      if (this.#failing) this.#parts.logger.info('it is written down again when devices were last heard')
      this.#failing = false
      return true
    } catch (error) {
      for (const [deviceId, at] of batch) this.#keep(deviceId, at)
      if (!this.#failing)
        this.#parts.logger.warn(`cannot write down when devices were last heard; trying again: ${messageOf(error)}`)
      this.#failing = true
      return false
    }
  }
}
