import type { NatsConnection, Status } from '@nats-io/nats-core'
import { messageOf } from '../domain/errors.ts'
import type { Logger } from '../runner/logger.ts'
import { natsMetrics } from './metrics.ts'

type LinkListener = (connected: boolean) => void

/** Whether NATS is there. Says once that it went away and once that it is back (N-6). */
export class NatsLink {
  readonly #connection: NatsConnection
  readonly #logger: Logger
  readonly #listeners = new Set<LinkListener>()
  #awaySince: number | undefined
  #released = false

  constructor(connection: NatsConnection, logger: Logger) {
    this.#connection = connection
    this.#logger = logger
    natsMetrics.connected.inc()
    void this.#watch()
  }

  /**
   * Whether what is published now can reach NATS. The client library reports a lost connection a little late and throws away
   * what was published meanwhile when it starts to dial; from then on, until the new server has introduced itself, there is
   * no `info`. So a publication while this is true is either sent, or lost before `onChange` reports the connection again.
   */
  get connected(): boolean {
    return this.#awaySince === undefined && this.#connection.info !== undefined && !this.#connection.isClosed()
  }

  /** Calls the listener at every change until the returned function is called. */
  onChange(listener: LinkListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves when NATS is there; rejects with the signal's reason. */
  async untilConnected(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.connected) return
    await new Promise<void>((resolve, reject) => {
      const settle = (done: () => void): void => {
        off()
        signal.removeEventListener('abort', onAbort)
        done()
      }
      const onAbort = (): void => settle(() => reject(signal.reason))
      const off = this.onChange((connected) => {
        if (connected) settle(resolve)
      })
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** The connection is about to be closed on purpose: nothing is said of it any more. */
  release(): void {
    if (this.#released) return
    this.#released = true
    if (this.#awaySince === undefined) natsMetrics.connected.dec()
  }

  async #watch(): Promise<void> {
    for await (const status of this.#connection.status()) this.#onStatus(status)
  }

  #onStatus(status: Status): void {
    if (this.#released) return
    if (status.type === 'disconnect' && this.#awaySince === undefined) {
      this.#awaySince = performance.now()
      natsMetrics.connected.dec()
      this.#logger.warn({ server: status.server }, 'NATS went away; reconnecting')
      this.#notify(false)
    } else if (status.type === 'reconnect' && this.#awaySince !== undefined) {
      const seconds = Math.round((performance.now() - this.#awaySince) / 100) / 10
      this.#awaySince = undefined
      natsMetrics.connected.inc()
      natsMetrics.reconnects.inc()
      this.#logger.info({ server: status.server }, `NATS is back after ${seconds} s`)
      this.#notify(true)
    } else if (status.type === 'error') {
      this.#logger.error(`NATS reports: ${messageOf(status.error)}`)
    }
  }

  #notify(connected: boolean): void {
    for (const listener of this.#listeners) listener(connected)
  }
}
