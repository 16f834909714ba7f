import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../../../src/domain/errors.ts'
import { ACK_WAIT_MS, type BundleQueue, type TakenBundle } from '../../../src/nats/bundle-queue.ts'
import type { DeadLetterQuota } from '../../../src/nats/dead-letter-quota.ts'
import { publishDeadLetter, REPLAY_HEADERS } from '../../../src/nats/dead-letters.ts'
import type { Delivery, MessageFailure } from '../../../src/nats/delivery.ts'
import type { Logger } from '../../../src/runner/logger.ts'
import { CONSUMERS } from '../consumers.ts'
import type { Admission } from './admission.ts'
import { concludeRaw, decodeRaw, defer, type DeferParts } from '../raw-consumer.ts'
import { failed } from '../results.ts'
import { timeoutSignal } from '../../../src/runner/timeout-signal.ts'

export interface SurplusDrainParts extends DeferParts {
  readonly queue: Pick<BundleQueue, 'owners' | 'take'>
  readonly admission: Pick<Admission, 'isBehind'>
  readonly deadLetterQuota: DeadLetterQuota
  readonly logger: Logger
}

/** Organizations whose surplus is processed at the same time; further ones follow in turn. */
const MAX_ACTIVE = 64
/** Organizations that are known to have surplus; further ones are found by a later search. */
const MAX_KNOWN = 10_000
/** The envelopes of an organization in progress, and while the raw consumer is behind. */
const WIDTH = 256
const WIDTH_BEHIND = 4
const FAILURE_PAUSE_MS = 5000
/** Deliveries of a bundle after which its envelopes become dead letters: the process crashed on one of them, or always failed. */
const MAX_DELIVER = 50
const MAX_DELAY_MS = 60_000
/** The time for a dead letter to be stored; then the bundle returns to the queue, and it is the turn of another organization. */
const DEAD_LETTER_TIMEOUT_MS = 10_000
/** Finds the surplus of an earlier run, and of an instance that has stopped. */
const SEARCH_INTERVAL_MS = 60_000

/**
 * Processes the surplus: the bundles of each organization in their order, one at a time, and those of different organizations at the
 * same time. A bundle is removed when each of its envelopes is published, waits for its device, or is a dead letter. If a bundle is
 * processed twice, the ids of the published messages are the same.
 */
export class SurplusDrain {
  readonly #parts: SurplusDrainParts
  /** The organizations with surplus that are not active, in the order of their turns. */
  readonly #known = new Set<string>()
  readonly #active = new Map<string, Promise<void>>()
  #signal: AbortSignal | undefined

  constructor(parts: SurplusDrainParts) {
    this.#parts = parts
  }

  /** Reports that an organization has surplus. */
  add(organizationId: string): void {
    if (this.#known.size < MAX_KNOWN) this.#known.add(organizationId)
    this.#startTurns()
  }

  /** Runs until the signal aborts. What is in progress then stays in the queue. */
  async run(signal: AbortSignal): Promise<void> {
    // Every envelope in progress adds a listener.
    setMaxListeners(0, signal)
    this.#signal = signal
    while (!signal.aborted) {
      const found = await this.#search()
      await sleep(found ? SEARCH_INTERVAL_MS : FAILURE_PAUSE_MS, undefined, { signal }).catch(() => {})
    }
    await Promise.all(this.#active.values())
  }

  /** Returns false if NATS did not answer. */
  async #search(): Promise<boolean> {
    try {
      for (const organizationId of await this.#parts.queue.owners()) this.add(organizationId)
      return true
    } catch (error) {
      this.#parts.logger.debug(`cannot search for surplus envelopes: ${messageOf(error)}`)
      return false
    }
  }

  #startTurns(): void {
    const signal = this.#signal
    if (signal === undefined) return
    for (const organizationId of this.#known) {
      if (signal.aborted || this.#active.size >= MAX_ACTIVE) return
      if (this.#active.has(organizationId)) continue
      this.#known.delete(organizationId)
      this.#active.set(organizationId, this.#takeTurn(organizationId, signal))
    }
  }

  /** Processes a bundle; the organization takes a further turn unless it has no other. */
  async #takeTurn(organizationId: string, signal: AbortSignal): Promise<void> {
    try {
      const bundle = await this.#parts.queue.take(organizationId)
      if (bundle !== undefined) {
        this.#known.add(organizationId)
        await this.#process(bundle, signal)
      }
    } catch (error) {
      this.#known.add(organizationId)
      if (!signal.aborted) {
        const text = `cannot process surplus envelopes now, trying again: ${messageOf(error)}`
        this.#parts.logger.warn({ organization_id: organizationId }, text)
        await sleep(FAILURE_PAUSE_MS, undefined, { signal }).catch(() => {})
      }
    }
    this.#active.delete(organizationId)
    this.#startTurns()
  }

  /** Rejects if an envelope has no result; then the bundle returns to the queue. */
  async #process(bundle: TakenBundle, signal: AbortSignal): Promise<void> {
    const keeping = setInterval(() => bundle.keep(), ACK_WAIT_MS / 3)
    try {
      await this.#processAll(bundle, signal)
      await bundle.remove()
    } catch (error) {
      bundle.putBack(signal.aborted ? 0 : Math.min(1000 * 2 ** (bundle.attempt - 1), MAX_DELAY_MS))
      throw error
    } finally {
      clearInterval(keeping)
    }
  }

  async #processAll({ messages, attempt }: TakenBundle, signal: AbortSignal): Promise<void> {
    const rest = messages.values()
    const isExhausted = attempt > MAX_DELIVER
    let open = Math.min(messages.length, this.#parts.admission.isBehind ? WIDTH_BEHIND : WIDTH)
    const worker = async (): Promise<void> => {
      for (const message of rest) {
        await (isExhausted ? this.#giveUp(message, attempt) : this.#processOne(message, attempt, signal))
        if (!this.#parts.admission.isBehind || open <= WIDTH_BEHIND) continue
        open -= 1
        return
      }
    }
    await Promise.all(Array.from({ length: open }, worker))
  }

  async #processOne(message: Delivery, attempt: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const raw = decodeRaw(message)
    const result =
      'kind' in raw
        ? failed(raw)
        : await concludeRaw(this.#parts, message, raw, signal, {
            whenUnknown: (unknown) => defer(this.#parts, message, unknown),
          })
    if (result.kind === 'retry') throw new Error(result.reason)
    if (result.kind === 'dead_letter') await this.#storeDeadLetter(message, attempt, result)
  }

  async #giveUp(message: Delivery, attempt: number): Promise<void> {
    const raw = decodeRaw(message)
    const organizationId = 'kind' in raw ? undefined : raw.organizationId
    const reason = `its bundle was delivered ${attempt - 1} times and never processed; the log has the reason`
    await this.#storeDeadLetter(message, attempt, { kind: 'dead_letter', cause: 'crash', reason, organizationId })
  }

  /**
   * Stores a dead letter, or drops it beyond the quota of its organization. Rejects if it is not stored in time. Only the first attempt
   * of a bundle counts towards the quota.
   */
  async #storeDeadLetter(message: Delivery, attempt: number, failure: MessageFailure): Promise<void> {
    const { deadLetterQuota, logger, producer, rawStream } = this.#parts
    const { cause = 'internal', organizationId, reason } = failure
    const isReplay = message.header(REPLAY_HEADERS.of) !== undefined
    if (!isReplay && attempt === 1 && !deadLetterQuota.admit(organizationId, cause)) return
    const consumer = { service: 'analytics', stream: rawStream, durable: CONSUMERS.raw }
    await publishDeadLetter(producer, consumer, message, { reason, cause }, timeoutSignal(DEAD_LETTER_TIMEOUT_MS))
    logger.warn({ organization_id: organizationId }, `dead letter: ${reason}`)
  }
}
