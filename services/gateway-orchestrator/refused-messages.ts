import { GatewayNotOwned, messageOf, PublishError } from '../../src/domain/errors.ts'
import type { NatsClient } from '../../src/nats/connection.ts'
import type { DeadLetterQuota } from '../../src/nats/dead-letter-quota.ts'
import { publishRefused, type Refused } from '../../src/nats/dead-letters.ts'
import { natsMetrics } from '../../src/nats/metrics.ts'
import type { Producer } from '../../src/nats/publisher/producer.ts'
import { timeoutSignal } from '../../src/runner/timeout-signal.ts'

/** Time after which a dead letter that NATS does not store is dropped. */
const STORE_TIMEOUT_MS = 5000
/** Time for which all further dead letters are then dropped without an attempt. */
const PAUSE_MS = 10_000

/**
 * Stores the dead letters of messages that cannot be envelopes. MQTT requires acknowledgements in the order of the messages (3.1.1,
 * 4.6), so a dead letter that waits would stop its gateway. It could not be replayed either; while dead letters cannot be stored,
 * they are therefore dropped, counted and logged.
 */
export class RefusedMessages {
  readonly #nats: NatsClient
  readonly #producer: Producer
  readonly #quota: DeadLetterQuota
  #pausedUntil = -Infinity
  /** The number of dead letters dropped since NATS did not store one. */
  #dropped = 0

  constructor(nats: NatsClient, producer: Producer, quota: DeadLetterQuota) {
    this.#nats = nats
    this.#producer = producer
    this.#quota = quota
  }

  /** Stores or drops a dead letter. While NATS is disconnected it waits. Rejects if the signal aborts or the lease of the gateway is lost. */
  async store(organizationId: string, refused: Refused, signal: AbortSignal): Promise<void> {
    if (!this.#quota.admit(organizationId, refused.cause)) return
    if (performance.now() < this.#pausedUntil) return this.#dropUnstored(refused)
    try {
      await this.#publish(refused, signal)
      this.#onStored()
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof GatewayNotOwned || (error instanceof PublishError && error.code === 'closed')) throw error
      this.#pause(error)
      this.#dropUnstored(refused)
    }
  }

  /** Rejects if the dead letter is not stored in time while NATS is connected. */
  async #publish(refused: Refused, signal: AbortSignal): Promise<void> {
    for (;;) {
      const timeout = timeoutSignal(STORE_TIMEOUT_MS)
      try {
        return await publishRefused(this.#producer, refused, AbortSignal.any([signal, timeout]))
      } catch (error) {
        if (signal.aborted || !timeout.aborted || this.#nats.link.connected) throw error
      }
      await this.#nats.link.untilConnected(signal)
    }
  }

  /** Counts a dead letter that is not stored. */
  drop(cause: string): void {
    natsMetrics.deadLetters.inc({ cause, outcome: 'dropped' })
  }

  #dropUnstored({ cause }: Refused): void {
    this.#dropped += 1
    this.drop(cause)
  }

  #pause(error: unknown): void {
    this.#pausedUntil = performance.now() + PAUSE_MS
    const reason = messageOf(error)
    if (this.#dropped === 0)
      this.#nats.logger.warn(`cannot store dead letters: ${reason}; dropping those of gateways until NATS stores them`)
  }

  #onStored(): void {
    if (this.#dropped === 0) return
    this.#nats.logger.info({ dropped: this.#dropped }, 'dead letters are stored again')
    this.#dropped = 0
  }
}
