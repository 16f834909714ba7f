import { messageOf } from '../../src/domain/errors.ts'
import { evictOldest } from '../../src/domain/fifo.ts'
import { mergedActivity, type DeviceActivity } from '../../src/domain/device-activity.ts'
import { now, type Instant } from '../../src/domain/instant.ts'
import type { LastSeenStore } from '../../src/postgres/end-device-repository.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { timeoutSignal } from '../../src/runner/timeout-signal.ts'

/** An envelope of a device that exists. */
interface HeardEnvelope {
  readonly endDeviceId: string
  readonly receivedAt: Instant
  /** Why its payload could not be decoded or its row not be stored; absent: it was decoded. */
  readonly failure?: string
}

/** The maximum characters of a buffered reason. */
const MAX_REASON = 300

export interface LastSeenRecorderParts {
  readonly store: Pick<LastSeenStore, 'record'>
  readonly logger: Logger
  /** The limit of buffered devices, above which the oldest are dropped. Default 100,000. */
  readonly maxDevices?: number
}

/** Pause between two writes. */
const INTERVAL_MS = 1000
/** Devices per statement. */
const MAX_BATCH = 5000
/** Time limit for the last write when the service stops. */
const CLOSE_TIMEOUT_MS = 5000

/** Writes last-seen times to the store about once a second, one per device. `record` never blocks. Outages are buffered. */
export class LastSeenRecorder {
  readonly #parts: LastSeenRecorderParts
  /** Devices in the order of the first unwritten time, so that busy devices do not wait longer than others. */
  readonly #buffer = new Map<string, DeviceActivity>()
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> | undefined
  #failing = false
  #dropped = 0
  #closed = false

  constructor(parts: LastSeenRecorderParts) {
    this.#parts = parts
  }

  /** Buffers the time of receipt, at most the current time, because a gateway's clock can be ahead. */
  record({ endDeviceId, receivedAt, failure }: HeardEnvelope): void {
    const current = now()
    const at = receivedAt > current ? current : receivedAt
    this.#keep(
      endDeviceId,
      failure === undefined
        ? { heardAt: at, seenAt: at, failure: null }
        : { heardAt: at, seenAt: null, failure: { at, reason: failure.slice(0, MAX_REASON) } },
    )
    this.#schedule()
  }

  /** Writes the buffer if the store is available; ends in bounded time. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#writing
    await this.#flush(timeoutSignal(CLOSE_TIMEOUT_MS))
    if (this.#buffer.size > 0)
      this.#parts.logger.warn(
        `cannot write last-seen times to PostgreSQL before the stop; dropped the last-seen time of ${this.#buffer.size} devices`,
      )
  }

  #keep(deviceId: string, activity: DeviceActivity): void {
    const known = this.#buffer.get(deviceId)
    this.#buffer.set(deviceId, known === undefined ? activity : mergedActivity(known, activity))
    const size = this.#buffer.size
    evictOldest(this.#buffer, this.#parts.maxDevices ?? 100_000)
    this.#dropped += size - this.#buffer.size
  }

  #schedule(): void {
    if (this.#closed || this.#timer !== undefined || this.#writing !== undefined || this.#buffer.size === 0) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#writing = this.#flush().then(() => {
        this.#writing = undefined
        this.#schedule()
      })
    }, INTERVAL_MS)
  }

  /** Writes the currently buffered devices in batches until the store fails. */
  async #flush(signal?: AbortSignal): Promise<void> {
    const { store, logger } = this.#parts
    for (let left = this.#buffer.size; left > 0; left -= MAX_BATCH) {
      const batch = new Map([...this.#buffer].slice(0, Math.min(left, MAX_BATCH)))
      for (const deviceId of batch.keys()) this.#buffer.delete(deviceId)
      try {
        await store.record(batch, { signal })
        if (this.#failing) logger.info('writing last-seen times again')
        if (this.#dropped > 0)
          logger.warn(`the buffer was full; dropped the last-seen time of ${this.#dropped} devices`)
        this.#failing = false
        this.#dropped = 0
      } catch (error) {
        for (const [deviceId, activity] of batch) this.#keep(deviceId, activity)
        if (!this.#failing) logger.warn(`cannot write last-seen times; retrying: ${messageOf(error)}`)
        this.#failing = true
        return
      }
    }
  }
}
