import { withSignal } from './connection.ts'
import type { NatsClient } from './connection.ts'

/** A message as it was published. The body is empty for one without. */
export interface LiveMessage {
  readonly subject: string
  readonly body: Uint8Array
}

/**
 * What is published on some subjects from now on, as it is published: for whoever has to know of changes, and nothing of the
 * past. Nothing is stored or acknowledged, so what is published while NATS is away is missing; `confirm` tells.
 */
export class LiveFeed {
  readonly #client: NatsClient
  readonly #stop: () => void
  /** Grows whenever something may be missing from here on. */
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
    this.#stop = () => {
      off()
      for (const subscription of subscriptions) if (!subscription.isClosed()) subscription.unsubscribe()
    }
  }

  /**
   * Asks the server for an answer: it comes behind all messages that were published before. Says true when nothing is missing
   * since the `confirm` before, false when this is the first since the feed began, or began anew after an interruption. Rejects
   * while NATS is away, and when the signal aborts: with a server that is silent it lasts until the connection is given up.
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

  close(): void {
    this.#stop()
  }
}
