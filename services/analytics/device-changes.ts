import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../../src/domain/errors.ts'
import type { NatsClient } from '../../src/nats/connection.ts'
import { LiveFeed, type LiveMessage } from '../../src/nats/live-feed.ts'
import type { CaptureActivity } from '../../src/postgres/replication/slot.ts'
import { decodeEndDevice, decodeOrganization } from '../../src/proto/entities.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { analyticsMetrics } from './metrics.ts'

/** Is told of changes of devices and organizations. */
export interface ChangeListener {
  deviceChanged(deviceId: string): void
  organizationChanged(id: string): void
  /** Something may have changed that nothing was said of. */
  anythingChanged(): void
}

export interface DeviceChangesParts {
  readonly nats: NatsClient
  readonly capture: CaptureActivity
  readonly logger: Logger
  /** A monotonic clock in milliseconds. */
  now?(): number
}

const SUBJECTS = ['end_device.*', 'organization.*']
/** Between two looks at whether events flow … */
const CHECK_INTERVAL_MS = 400
/** … and how long one holds, from its beginning. */
const CHECK_HOLDS_MS = 1000

/**
 * Follows the events that the service cdc makes of changed devices and organizations. Events alone prove nothing: none may come
 * because nothing changes, or because they cannot come. So NATS and PostgreSQL are asked again and again whether they do.
 */
export class DeviceChanges {
  readonly #parts: DeviceChangesParts
  #knownUntil = -Infinity
  #told: boolean | undefined

  constructor(parts: DeviceChangesParts) {
    this.#parts = parts
  }

  /** Whether every change reaches the listener now, a moment after its commit. */
  get known(): boolean {
    return this.#knownUntil > this.#now()
  }

  /** Follows the events until the signal aborts. */
  async run(listener: ChangeListener, signal: AbortSignal): Promise<void> {
    const feed = new LiveFeed(this.#parts.nats, SUBJECTS, (message) => tell(listener, message))
    try {
      while (!signal.aborted) {
        const startedAt = this.#now()
        if (await this.#follows(feed, listener, signal)) this.#knownUntil = startedAt + CHECK_HOLDS_MS
        await sleep(CHECK_INTERVAL_MS, undefined, { signal }).catch(() => undefined)
      }
    } finally {
      this.#knownUntil = -Infinity
      feed.close()
    }
  }

  async #follows(feed: LiveFeed, listener: ChangeListener, signal: AbortSignal): Promise<boolean> {
    try {
      const [unbroken, active] = await Promise.all([feed.confirm(signal), this.#parts.capture.isActive({ signal })])
      if (!unbroken) listener.anythingChanged()
      this.#tell(active, 'nobody streams the changes of PostgreSQL; is the service cdc running?')
      return active
    } catch (error) {
      if (!signal.aborted) this.#tell(false, messageOf(error))
      return false
    }
  }

  /** Once at each turn. */
  #tell(known: boolean, why: string): void {
    analyticsMetrics.changesKnown.set(known ? 1 : 0)
    if (known === this.#told) return
    this.#told = known
    if (known) this.#parts.logger.info('changed devices are heard of at once')
    else this.#parts.logger.warn(`devices are looked up every second, for changes are not heard of: ${why}`)
  }

  #now(): number {
    return this.#parts.now?.() ?? performance.now()
  }
}

function tell(listener: ChangeListener, { subject, body }: LiveMessage): void {
  try {
    if (subject.endsWith('.truncate')) listener.anythingChanged()
    else if (subject.startsWith('end_device.')) listener.deviceChanged(decodeEndDevice(body).deviceId)
    else listener.organizationChanged(decodeOrganization(body).id)
  } catch {
    // Whatever it says: of a device or an organization.
    listener.anythingChanged()
  }
}
