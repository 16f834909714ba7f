import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EndDevice } from '../../src/domain/entities.ts'
import { messageOf } from '../../src/domain/errors.ts'
import type { DeferredMessages } from '../../src/nats/deferred-messages.ts'
import type { Delivery } from '../../src/nats/delivery.ts'
import { decodeRawEnvelope } from '../../src/proto/envelope.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { deferredSubject, processRaw, type ProcessRawParts } from './raw-consumer.ts'
import type { ChangeListener } from './device-changes.ts'

export interface DeferredScansParts extends ProcessRawParts {
  readonly deferred: Pick<DeferredMessages, 'scan'>
  readonly logger: Logger
}

/** The changed devices by organization; `all` after a change of the organization. */
type Changes = Map<string, Set<string> | 'all'>

const INTERVAL_MS = 500
/** A change is scanned for again after so many intervals: an envelope can be stored, or a commit become visible, after its event. */
const RESCAN_INTERVALS = 4
/** Limits the changes of one interval. The envelopes of further devices are processed when their wait ends. */
const MAX_CHANGES = 10_000

/** Processes the deferred envelopes of a device as soon as an event reports its creation or change, and removes them. */
export class DeferredScans implements ChangeListener {
  readonly #parts: DeferredScansParts
  #changes: Changes = new Map()
  #size = 0

  constructor(parts: DeferredScansParts) {
    this.#parts = parts
  }

  deviceChanged({ deviceId, organizationId }: Pick<EndDevice, 'deviceId' | 'organizationId'>): void {
    const ids = this.#changes.get(organizationId) ?? new Set<string>()
    if (ids === 'all' || this.#size >= MAX_CHANGES) return
    this.#size += 1
    this.#changes.set(organizationId, ids.add(deviceId))
  }

  organizationChanged(id: string): void {
    if (this.#size >= MAX_CHANGES) return
    this.#size += 1
    this.#changes.set(id, 'all')
  }

  /** Has no effect: the envelopes are processed when their wait ends. */
  anythingChanged(): void {}

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    // A scan processes more envelopes at the same time than Node allows listeners without a warning.
    setMaxListeners(0, signal)
    const earlier: Changes[] = []
    while (!signal.aborted) {
      const changes = this.#changes
      this.#changes = new Map()
      this.#size = 0
      await this.#scan(changes, signal)
      earlier.push(changes)
      if (earlier.length > RESCAN_INTERVALS) await this.#scan(earlier.shift() ?? new Map(), signal)
      await sleep(INTERVAL_MS, undefined, { signal }).catch(() => {})
    }
  }

  async #scan(changes: Changes, signal: AbortSignal): Promise<void> {
    const { deferred, logger } = this.#parts
    for (const [organizationId, devices] of changes) {
      try {
        const visit = (message: Delivery): Promise<boolean> => this.#process(message, devices, signal)
        await deferred.scan(deferredSubject(organizationId), visit, signal)
      } catch (error) {
        const text = `cannot read deferred envelopes, which are processed when their wait ends: ${messageOf(error)}`
        if (!signal.aborted) logger.warn({ organization_id: organizationId }, text)
      }
    }
  }

  /** Returns whether the envelope is published. Failures count only when the wait ends, so that the device can be corrected. */
  async #process(message: Delivery, devices: Set<string> | 'all', signal: AbortSignal): Promise<boolean> {
    if (devices !== 'all' && !devices.has(decodeRawEnvelope(message.body).endDeviceId)) return false
    return (await processRaw(this.#parts, message, signal)) === undefined
  }
}
