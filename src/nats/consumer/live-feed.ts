import { withSignal } from '../../runner/startup.ts'
import type { NatsClient } from '../connection.ts'

/** A message as published; without a payload the body is empty. */
export interface LiveMessage {
  readonly subject: string
  readonly body: Uint8Array
}

/**
 * Receives messages published on some subjects from now on, for consumers that need changes but no history. Nothing is stored or
 * acknowledged, so messages published while NATS is disconnected are missing; `confirm` detects that.
 */
export class LiveFeed {
  readonly #client: NatsClient
  readonly close: () => void
  /** Incremented whenever messages may be missing. */
  #epoch = 0
  #confirmedEpoch = -1

  constructor(client: NatsClient, subjects: readonly string[], onMessage: (message: LiveMessage) => void) {
    this.#client = client
    const subscriptions = subjects.map((subject) =>
      client.connection.subscribe(subject, {
        callback: (error, message) => {
          if (error === null) onMessage({ subject: message.subject, body: message.data })
          else this.#epoch++
        },
      }),
    )
    const off = client.link.onChange(() => this.#epoch++)
    this.close = () => {
      off()
      for (const subscription of subscriptions) if (!subscription.isClosed()) subscription.unsubscribe()
    }
  }

  /**
   * Waits for a reply of the server, which arrives after all earlier messages. Returns true if no message is missing since the
   * previous `confirm`; false for the first `confirm`, and for the first after an interruption. Rejects while NATS is
   * disconnected and when the signal aborts; without an answer it waits until the connection times out.
   */
  async confirm(signal: AbortSignal): Promise<boolean> {
    const epoch = this.#epoch
    if (!this.#client.link.connected) throw new Error('not connected to NATS')
    await withSignal(signal, this.#client.connection.flush())
    if (epoch !== this.#epoch) throw new Error('the connection to NATS was interrupted')
    const unbroken = this.#confirmedEpoch === epoch
    this.#confirmedEpoch = epoch
    return unbroken
  }
}
