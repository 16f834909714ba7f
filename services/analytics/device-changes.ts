import { setTimeout as sleep } from 'node:timers/promises'
import type { EndDevice } from '../../src/domain/entities.ts'
import { messageOf } from '../../src/domain/errors.ts'
import type { NatsClient } from '../../src/nats/connection.ts'
import { LiveFeed, type LiveMessage } from '../../src/nats/consumer/live-feed.ts'
import type { CaptureActivity } from '../../src/postgres/replication/slot.ts'
import { decodeDeviceProfileId } from '../../src/proto/device-profile.ts'
import { decodeEndDevice, decodeOrganization } from '../../src/proto/entities.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { analyticsMetrics } from './metrics.ts'

export interface ChangeListener {
  deviceChanged(device: Pick<EndDevice, 'deviceId' | 'organizationId'>): void
  organizationChanged(id: string): void
  profileChanged?(id: string): void
  /** Called when events may be missing. */
  anythingChanged(): void
}

export interface DeviceChangesParts {
  readonly nats: NatsClient
  readonly capture: CaptureActivity
  readonly logger: Logger
}

const SUBJECTS = ['end_device.*', 'organization.*', 'device_profile.*']
/**
 * The interval between the starts of two checks that events are delivered, and the validity of a check, from its start. While the system
 * is overloaded, checks may overlap: they are valid without a gap as long as each takes less than the difference.
 */
const CHECK_INTERVAL_MS = 300
const CHECK_VALID_MS = 1000
const MAX_CHECKS = 4

/**
 * Subscribes to the CDC events of devices, organizations and device profiles. The absence of events is ambiguous: nothing changed, or events
 * cannot be delivered. Therefore NATS and PostgreSQL are checked periodically.
 */
export class DeviceChanges {
  readonly #parts: DeviceChangesParts
  #availableUntil = -Infinity
  #logged: boolean | undefined

  constructor(parts: DeviceChangesParts) {
    this.#parts = parts
  }

  /** True if every change reaches the listeners shortly after its commit. */
  get available(): boolean {
    return this.#availableUntil > performance.now()
  }

  /** Runs until the signal aborts. The listeners are called in order. */
  async run(listeners: readonly ChangeListener[], signal: AbortSignal): Promise<void> {
    const feed = new LiveFeed(this.#parts.nats, SUBJECTS, (message) => {
      for (const listener of listeners) dispatch(listener, message)
    })
    const checks = new Set<Promise<void>>()
    try {
      while (!signal.aborted) {
        const check = this.#check(feed, listeners, signal).finally(() => checks.delete(check))
        checks.add(check)
        await sleep(CHECK_INTERVAL_MS, undefined, { signal }).catch(() => undefined)
        if (checks.size >= MAX_CHECKS) await Promise.race(checks)
      }
    } finally {
      await Promise.all(checks)
      this.#availableUntil = -Infinity
      feed.close()
    }
  }

  /** Never rejects. */
  async #check(feed: LiveFeed, listeners: readonly ChangeListener[], signal: AbortSignal): Promise<void> {
    const startedAt = performance.now()
    try {
      const [, active] = await Promise.all([
        this.#confirm(feed, listeners, signal),
        this.#parts.capture.isActive({ signal }),
      ])
      this.#logTransition(active, 'no process streams from the replication slot; start the service cdc')
      if (active) this.#availableUntil = Math.max(this.#availableUntil, startedAt + CHECK_VALID_MS)
    } catch (error) {
      if (!signal.aborted) this.#logTransition(false, messageOf(error))
    }
  }

  /** Reports missing events immediately, so that they are known before a later check, which can end earlier than this one. */
  async #confirm(feed: LiveFeed, listeners: readonly ChangeListener[], signal: AbortSignal): Promise<void> {
    if (!(await feed.confirm(signal))) for (const listener of listeners) listener.anythingChanged()
  }

  #logTransition(available: boolean, reason: string): void {
    analyticsMetrics.changesKnown.set(available ? 1 : 0)
    if (available === this.#logged) return
    this.#logged = available
    if (available) this.#parts.logger.info('CDC events available; devices are cached until they change')
    else this.#parts.logger.warn(`CDC events unavailable; the device cache TTL is 0.9 s: ${reason}`)
  }
}

function dispatch(listener: ChangeListener, { subject, body }: LiveMessage): void {
  try {
    if (subject.endsWith('.truncate')) listener.anythingChanged()
    else if (subject.startsWith('end_device.')) listener.deviceChanged(decodeEndDevice(body))
    else if (subject.startsWith('device_profile.')) listener.profileChanged?.(decodeDeviceProfileId(body))
    else listener.organizationChanged(decodeOrganization(body).id)
  } catch {
    listener.anythingChanged()
  }
}
