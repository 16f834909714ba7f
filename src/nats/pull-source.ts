import { setTimeout as sleep } from 'node:timers/promises'
import { createInbox, type Msg, type Subscription } from '@nats-io/nats-core'
import { messageOf } from '../domain/errors.ts'
import type { NatsClient } from './connection.ts'
import { PulledMessage } from './delivery.ts'

export interface PullOptions {
  readonly client: NatsClient
  readonly stream: string
  readonly durable: string
  readonly batchSize: number
  readonly batchWaitMs: number
  /** Makes sure that the consumer exists; resolves when it does, however long that takes; rejects only when aborted. */
  readonly restore: (reason: string) => Promise<void>
}

const EXPIRES_MS = 30_000
const HEARTBEAT_MS = 5000
/** This long without a message or a heartbeat while a pull is open, and the pull is taken for lost. */
const SILENCE_MS = 3 * HEARTBEAT_MS
/** Between two restorations, lest what cannot be restored is tried in a tight loop. */
const RESTORE_PAUSE_MS = 500
const NANOS_PER_MS = 1_000_000

/**
 * Pulls messages of a durable consumer ahead of the handler: one open pull at a time, for as many as are wanting to a full
 * batch in the buffer. So while one batch is handled the next one gathers, and no more than that (N-5).
 */
export class PullSource {
  readonly #options: PullOptions
  readonly #inbox = createInbox()
  readonly #subscription: Subscription
  readonly #offLink: () => void
  readonly #silenceTimer: NodeJS.Timeout
  #buffer: PulledMessage[] = []
  #firstAt = 0
  /** Messages that the open pull may still bring; 0 when none is open. */
  #expected = 0
  #pullNumber = 0
  #lastSignAt = performance.now()
  #restoring = false
  #restoredAt = -Infinity
  #stopped = false
  #wake: () => void = () => {}

  constructor(options: PullOptions) {
    this.#options = options
    const { connection, link, logger } = options.client
    this.#subscription = connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error) logger.error(`NATS refuses the subscription for pulled messages: ${messageOf(error)}`)
        else this.#onMessage(message)
      },
    })
    this.#offLink = link.onChange((connected) => {
      if (connected) this.#restore('NATS was away')
    })
    this.#silenceTimer = setInterval(() => this.#checkSilence(), HEARTBEAT_MS)
  }

  /** What has been pulled and not yet been taken: its acknowledgement deadlines run already. */
  get buffered(): readonly PulledMessage[] {
    return this.#buffer
  }

  /** The next batch: full, or what came within the wait after its first message; empty when the signal has aborted. */
  async next(signal: AbortSignal): Promise<readonly PulledMessage[]> {
    const { batchSize, batchWaitMs } = this.#options
    const onAbort = (): void => this.#wake()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      while (!signal.aborted) {
        this.#pull()
        const left = this.#buffer.length === 0 ? Infinity : this.#firstAt + batchWaitMs - performance.now()
        if (this.#buffer.length >= batchSize || left <= 0) return this.#take()
        await this.#change(left)
      }
      return []
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Takes no more; what was pulled and not taken goes back at once, for another instance or the next start (N-7). */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#offLink()
    clearInterval(this.#silenceTimer)
    const { client } = this.#options
    if (client.link.connected && !this.#subscription.isClosed()) {
      // Draining keeps the subscription until the server has sent all it had for it, so that nothing is left to time out.
      await this.#subscription.drain().catch((error: unknown) => client.logger.debug(messageOf(error)))
    } else if (!this.#subscription.isClosed()) {
      this.#subscription.unsubscribe()
    }
    for (const message of this.#buffer.splice(0)) message.nak()
  }

  #take(): readonly PulledMessage[] {
    const batch = this.#buffer.splice(0, this.#options.batchSize)
    this.#firstAt = performance.now()
    this.#pull()
    return batch
  }

  /** Resolves at the next change worth looking at, or after the time. */
  async #change(afterMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      if (afterMs !== Infinity) timer = setTimeout(resolve, Math.max(1, afterMs))
    })
    clearTimeout(timer)
    this.#wake = () => {}
  }

  #pull(): void {
    const { client, stream, durable, batchSize } = this.#options
    const wanted = batchSize - this.#buffer.length
    if (this.#expected > 0 || wanted <= 0 || this.#restoring || this.#stopped) return
    if (!client.link.connected || client.connection.isDraining()) return
    this.#expected = wanted
    this.#lastSignAt = performance.now()
    const request = { batch: wanted, expires: EXPIRES_MS * NANOS_PER_MS, idle_heartbeat: HEARTBEAT_MS * NANOS_PER_MS }
    client.connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`, JSON.stringify(request), {
      reply: `${this.#inbox}.${++this.#pullNumber}`,
    })
  }

  #onMessage(message: Msg): void {
    this.#lastSignAt = performance.now()
    if (message.subject.startsWith(this.#inbox)) return this.#onStatus(message)
    if (this.#expected > 0) this.#expected--
    const pulled = new PulledMessage(message)
    if (this.#buffer.length === 0) this.#firstAt = performance.now()
    this.#buffer.push(pulled)
    if (this.#buffer.length === 1 || this.#buffer.length === this.#options.batchSize) this.#wake()
    if (this.#expected === 0) this.#pull()
  }

  #onStatus(message: Msg): void {
    const code = message.headers?.code ?? 0
    if (code === 100) return
    const current = message.subject === `${this.#inbox}.${this.#pullNumber}`
    if (!current) return
    this.#expected = 0
    // 404 and 408: the pull ended for want of messages.
    if (code === 404 || code === 408) this.#pull()
    else if (code === 503) this.#restore('it does not exist, or JetStream is not up')
    else this.#restore(message.headers?.description ?? `status ${code}`)
  }

  #checkSilence(): void {
    if (this.#expected === 0 || this.#restoring || !this.#options.client.link.connected) return
    if (performance.now() - this.#lastSignAt >= SILENCE_MS) this.#restore('JetStream is silent')
  }

  #restore(reason: string): void {
    if (this.#restoring || this.#stopped) return
    this.#restoring = true
    this.#expected = 0
    const pauseMs = performance.now() - this.#restoredAt < RESTORE_PAUSE_MS ? RESTORE_PAUSE_MS : 0
    void sleep(pauseMs)
      .then(() => this.#options.restore(reason))
      .catch((error: unknown) => this.#options.client.logger.debug(messageOf(error)))
      .finally(() => {
        this.#restoredAt = performance.now()
        this.#restoring = false
        this.#pull()
      })
  }
}
