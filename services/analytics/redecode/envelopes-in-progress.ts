import { setTimeout as sleep } from 'node:timers/promises'
import { bundleConsumer } from '../../../src/nats/bundle-queue.ts'
import type { NatsClient } from '../../../src/nats/connection.ts'
import { deliveredUpTo, isAcknowledged, newestOn, type ConsumerName } from '../../../src/nats/consumer-progress.ts'
import { DeferredMessages } from '../../../src/nats/deferred-messages.ts'
import { subjectToken } from '../../../src/nats/publisher/publication.ts'
import { decodeRawEnvelope } from '../../../src/proto/envelope.ts'
import type { AnalyticsEnvironment } from '../clients.ts'
import { CONSUMERS, SURPLUS_PREFIX } from '../consumers.ts'
import { deferredSubject } from '../raw-consumer.ts'

export interface EnvelopesInProgressParts {
  readonly nats: NatsClient
  readonly environment: AnalyticsEnvironment
}

interface Device {
  readonly endDeviceId: string
  readonly organizationId: string
}

/** The time in which a changed codec is in force in analytics. */
const IN_FORCE_MS = 2000
const POLL_MS = 250

/** The raw envelopes of a device that analytics has begun. */
export class EnvelopesInProgress {
  readonly #parts: EnvelopesInProgressParts
  readonly #device: Device

  constructor(parts: EnvelopesInProgressParts, device: Device) {
    this.#parts = parts
    this.#device = device
  }

  /** Returns the sequence of the newest raw envelope that analytics has begun; it decodes later ones with the codec of that time. */
  async begun(): Promise<number> {
    return await deliveredUpTo(this.#parts.nats, this.#raw)
  }

  /**
   * Waits until the codec of now is in force and the envelopes that were begun before are rows or dead letters, so that none becomes a row
   * of a former codec afterwards. Returns the sequence of the newest of them. Rejects if that takes longer than `limitMs`.
   */
  async untilFinished(limitMs: number, signal: AbortSignal): Promise<number> {
    const deadline = performance.now() + limitMs
    const until = async (what: string, isFinished: () => Promise<boolean>): Promise<void> => {
      while (!(await isFinished())) {
        if (performance.now() >= deadline) throw new Error(this.#timeout(what, limitMs))
        await sleep(POLL_MS, undefined, { signal })
      }
    }
    await sleep(IN_FORCE_MS, undefined, { signal })
    const begun = await this.begun()
    const { nats } = this.#parts
    const newest = Math.min(begun, await newestOn(nats, this.#raw.stream, this.#subject('raw_envelopes')))
    await until('raw envelopes', () => isAcknowledged(nats, this.#raw, newest))
    await until('envelopes that wait for the device', async () => !(await this.#isDeferred(signal)))
    const taken = await deliveredUpTo(nats, this.#surplus)
    await until('surplus', () => this.#isReturned(taken))
    const last = await newestOn(nats, this.#processed.stream, this.#subject('processed_envelopes'))
    await until('processed envelopes', () => isAcknowledged(nats, this.#processed, last))
    return begun
  }

  #timeout(what: string, limitMs: number): string {
    return (
      `analytics has not finished ${what} of device ${this.#device.endDeviceId} within ${limitMs / 1000} s; no row is replaced: ` +
      `check that ponix-analytics runs, and run the command again, with a longer --wait or --wait 0 to replace rows nevertheless`
    )
  }

  get #raw(): ConsumerName {
    return { stream: this.#parts.environment.PONIX_NATS_RAW_STREAM, durable: CONSUMERS.raw }
  }

  get #processed(): ConsumerName {
    return { stream: this.#parts.environment.PONIX_PROCESSED_ENVELOPES_STREAM, durable: CONSUMERS.processed }
  }

  /** The surplus of the organization; JetStream removes its consumer a minute after the last bundle. */
  get #surplus(): ConsumerName {
    const durable = bundleConsumer(SURPLUS_PREFIX, this.#device.organizationId)
    return { stream: this.#parts.environment.PONIX_NATS_SURPLUS_STREAM, durable }
  }

  async #isReturned(taken: number): Promise<boolean> {
    const { nats } = this.#parts
    return (await isAcknowledged(nats, this.#surplus, taken)) || (await deliveredUpTo(nats, this.#surplus)) === 0
  }

  #subject(prefix: string): string {
    return `${prefix}.${subjectToken(this.#device.endDeviceId)}`
  }

  async #isDeferred(signal: AbortSignal): Promise<boolean> {
    const { nats, environment } = this.#parts
    const { endDeviceId, organizationId } = this.#device
    let isFound = false
    const visit = ({ body }: { readonly body: Uint8Array }): Promise<boolean> => {
      isFound ||= decodeRawEnvelope(body).endDeviceId === endDeviceId
      return Promise.resolve(false)
    }
    const deferred = new DeferredMessages(nats, environment.PONIX_NATS_DEFERRED_STREAM)
    await deferred.scan(deferredSubject(organizationId), visit, signal)
    return isFound
  }
}
