import { setTimeout as sleep } from 'node:timers/promises'
import type { EndDevice } from '../../src/domain/entities.ts'
import { messageOf } from '../../src/domain/errors.ts'
import type { NatsClient } from '../../src/nats/connection.ts'
import { LiveFeed, type LiveMessage } from '../../src/nats/consumer/live-feed.ts'
import type { CaptureActivity } from '../../src/postgres/replication/slot.ts'
import { decodeEndDevice, decodeOrganization } from '../../src/proto/entities.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { analyticsMetrics } from './metrics.ts'

export interface ChangeListener {
  deviceChanged(device: Pick<EndDevice, 'deviceId' | 'organizationId'>): void
  organizationChanged(id: string): void
  /** Called when events may be missing. */
  anythingChanged(): void
}

export interface DeviceChangesParts {
  readonly nats: NatsClient
  readonly capture: CaptureActivity
  readonly logger: Logger
}

const SUBJECTS = ['end_device.*', 'organization.*']
/** Interval between two checks that events are delivered … */
const CHECK_INTERVAL_MS = 400
/** … and the validity of a check, from its start. */
const CHECK_VALID_MS = 1000

/**
 * Subscribes to the CDC events of devices and organizations. The absence of events is ambiguous: nothing changed, or events
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
    try {
      while (!signal.aborted) {
        const startedAt = performance.now()
        if (await this.#check(feed, listeners, signal)) this.#availableUntil = startedAt + CHECK_VALID_MS
        await sleep(CHECK_INTERVAL_MS, undefined, { signal }).catch(() => undefined)
      }
    } finally {
      this.#availableUntil = -Infinity
      feed.close()
    }
  }

  async #check(feed: LiveFeed, listeners: readonly ChangeListener[], signal: AbortSignal): Promise<boolean> {
    try {
      const [unbroken, active] = await Promise.all([feed.confirm(signal), this.#parts.capture.isActive({ signal })])
      if (!unbroken) for (const listener of listeners) listener.anythingChanged()
      this.#logTransition(active, 'no process streams from the replication slot; start the service cdc')
      return active
    } catch (error) {
      if (!signal.aborted) this.#logTransition(false, messageOf(error))
      return false
    }
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
    else listener.organizationChanged(decodeOrganization(body).id)
  } catch {
    listener.anythingChanged()
  }
}
