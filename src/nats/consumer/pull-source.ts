import { setTimeout as sleep } from 'node:timers/promises'
import { createInbox, type Msg, type Subscription } from '@nats-io/nats-core'
import { ByteBudget, type BudgetLimits } from '../../domain/byte-budget.ts'
import { messageOf } from '../../domain/errors.ts'
import type { ConsumerOptions } from './consumer-options.ts'
import { PulledMessage } from '../delivery.ts'
import { NANOS_PER_MS } from '../streams.ts'

type PullOptions = Pick<
  ConsumerOptions,
  'client' | 'stream' | 'durable' | 'batchSize' | 'prefetch' | 'batchBytes' | 'batchWaitMs' | 'waitedMs'
>

interface PulledConsumer {
  /** Called for each received message, in order. */
  received(message: PulledMessage): void
  /** Resolves when the consumer exists; retries without limit and rejects only when aborted. */
  restore(reason: string): Promise<void>
}

const EXPIRES_MS = 30_000
const HEARTBEAT_MS = 5000
/** The time without message and heartbeat after which an open pull is considered lost. */
const SILENCE_MS = 3 * HEARTBEAT_MS
const BATCH_BYTES = 8 * 1024 * 1024
/** The description of status 409 when the next message has more bytes than the pull has left. */
const TOO_LARGE = 'Message Size Exceeds MaxBytes'
/** The description of status 409 when a pull has delivered all its messages, but not all its bytes. */
const COMPLETED = 'Batch Completed'
/** The part of the wait for a batch that applies even to old messages, because small batches cost more. */
const MIN_WAIT = 0.25
/** Minimum time between two restorations, to avoid a tight loop. */
const RESTORE_PAUSE_MS = 500

/**
 * Prefetches messages of a durable consumer into a buffer of one or several batches: one open pull at a time, for as many messages and
 * bytes as fit into the buffer. So further batches arrive while a batch is handled.
 */
export class PullSource {
  readonly #options: PullOptions
  readonly #consumer: PulledConsumer
  readonly #inbox = createInbox()
  readonly #subscription: Subscription
  readonly #offLink: () => void
  readonly #silenceTimer: NodeJS.Timeout
  #buffer: PulledMessage[] = []
  /** The size of the buffer against its limits. */
  readonly #buffered: ByteBudget
  /** The next message does not fit into the buffer. */
  #nextTooLarge = false
  /** When the buffer is a batch although it has less than that. */
  #dueAt = 0
  /** What the open pull has delivered; undefined if no pull is open. */
  #open: ByteBudget | undefined
  #pullNumber = 0
  #lastActivityAt = performance.now()
  #restoring = false
  #restoredAt = -Infinity
  #stopped = false
  #wake: () => void = () => {}

  constructor(options: PullOptions, consumer: PulledConsumer) {
    this.#options = options
    this.#consumer = consumer
    const { batchSize, prefetch = batchSize, batchBytes = BATCH_BYTES } = options
    this.#buffered = new ByteBudget({ items: prefetch, bytes: batchBytes })
    const { connection, link, logger } = options.client
    this.#subscription = connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error) logger.error(`NATS rejected the subscription for pulled messages: ${messageOf(error)}`)
        else this.#onMessage(message)
      },
    })
    this.#offLink = link.onChange((connected) => {
      if (connected) this.#restore('NATS reconnected')
    })
    this.#silenceTimer = setInterval(() => this.#checkSilence(), HEARTBEAT_MS)
  }

  /** Messages that are pulled but not taken; their ack deadlines are running. */
  get buffered(): readonly PulledMessage[] {
    return this.#buffer
  }

  /** Returns the next batch: full, or the messages of `batchWaitMs` after its first message; empty if the signal aborted. */
  async next(signal: AbortSignal): Promise<readonly PulledMessage[]> {
    const onAbort = (): void => this.#wake()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      while (!signal.aborted) {
        this.#pull()
        const left = this.#buffer.length === 0 ? Infinity : this.#dueAt - performance.now()
        if (this.#hasBatch() || left <= 0) return this.#take()
        await this.#waitForChange(left)
      }
      return []
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Stops pulling and returns buffered messages to the server immediately, for another instance or the next start. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#offLink()
    clearInterval(this.#silenceTimer)
    const { client } = this.#options
    if (client.link.connected && !this.#subscription.isClosed()) {
      // Draining receives the messages in delivery, which would otherwise be redelivered only after their deadline.
      await this.#subscription.drain().catch((error: unknown) => client.logger.debug(messageOf(error)))
    } else if (!this.#subscription.isClosed()) {
      this.#subscription.unsubscribe()
    }
    for (const message of this.#buffer.splice(0)) message.nak()
  }

  #take(): readonly PulledMessage[] {
    const batch = this.#buffer.splice(0, this.#options.batchSize)
    for (const message of batch) this.#buffered.remove(message.bytes)
    const [next] = this.#buffer
    if (next !== undefined) this.#dueAt = performance.now() + this.#waitMs(next)
    this.#nextTooLarge = false
    this.#pull()
    return batch
  }

  /** Returns how long a batch with this first message is gathered. */
  #waitMs(first: PulledMessage): number {
    const { batchWaitMs, waitedMs } = this.#options
    if (waitedMs === undefined) return batchWaitMs
    return Math.min(batchWaitMs, Math.max(batchWaitMs * MIN_WAIT, batchWaitMs - waitedMs(first)))
  }

  #hasBatch(): boolean {
    return this.#buffer.length >= this.#options.batchSize || this.#isFull()
  }

  #isFull(): boolean {
    return this.#nextTooLarge || this.#buffered.isFull
  }

  /** Resolves when the buffer is no longer empty or has a batch, or after the time. */
  async #waitForChange(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      if (timeoutMs !== Infinity) timer = setTimeout(resolve, Math.max(1, timeoutMs))
    })
    clearTimeout(timer)
    this.#wake = () => {}
  }

  #pull(limits: BudgetLimits = this.#buffered.left): void {
    const { client, stream, durable } = this.#options
    if (this.#open !== undefined || this.#isFull() || this.#restoring || this.#stopped) return
    if (!client.link.connected || client.connection.isDraining()) return
    this.#open = new ByteBudget(limits)
    this.#lastActivityAt = performance.now()
    const request = {
      batch: limits.items,
      ...(limits.bytes === Infinity ? {} : { max_bytes: limits.bytes }),
      expires: EXPIRES_MS * NANOS_PER_MS,
      idle_heartbeat: HEARTBEAT_MS * NANOS_PER_MS,
    }
    client.connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`, JSON.stringify(request), {
      reply: `${this.#inbox}.${++this.#pullNumber}`,
    })
  }

  #onMessage(message: Msg): void {
    this.#lastActivityAt = performance.now()
    if (message.subject.startsWith(this.#inbox)) return this.#onStatus(message)
    const pulled = new PulledMessage(message)
    this.#consumer.received(pulled)
    this.#open?.add(pulled.bytes)
    // JetStream ends the pull silently.
    if (this.#open?.isFull === true) this.#open = undefined
    if (this.#buffer.length === 0) this.#dueAt = performance.now() + this.#waitMs(pulled)
    this.#buffer.push(pulled)
    this.#buffered.add(pulled.bytes)
    if (this.#buffer.length === 1 || this.#hasBatch()) this.#wake()
    this.#pull()
  }

  #onStatus(message: Msg): void {
    const { code = 0, description } = message.headers ?? {}
    if (code === 100 || description === COMPLETED) return
    if (message.subject !== `${this.#inbox}.${this.#pullNumber}`) return
    const pull = this.#open
    this.#open = undefined
    // 404 and 408: the pull expired without enough messages.
    if (code === 404 || code === 408) this.#pull()
    else if (description === TOO_LARGE) this.#onTooLarge(pull)
    else if (code === 503) this.#restore('the consumer does not exist, or JetStream is not running')
    else this.#restore(description ?? `status ${code}`)
  }

  /** The pull can have less space than the buffer, of which a batch was taken meanwhile. A message larger than a batch is pulled alone. */
  #onTooLarge(pull: ByteBudget | undefined): void {
    const hadAllSpace = pull !== undefined && pull.left.bytes >= this.#buffered.left.bytes
    if (hadAllSpace && this.#buffer.length === 0) return this.#pull({ items: 1, bytes: Infinity })
    this.#nextTooLarge = hadAllSpace
    if (hadAllSpace) this.#wake()
    else this.#pull()
  }

  #checkSilence(): void {
    if (this.#open === undefined || this.#restoring || !this.#options.client.link.connected) return
    if (performance.now() - this.#lastActivityAt >= SILENCE_MS) this.#restore('no answer from JetStream')
  }

  #restore(reason: string): void {
    if (this.#restoring || this.#stopped) return
    this.#restoring = true
    this.#open = undefined
    const pauseMs = performance.now() - this.#restoredAt < RESTORE_PAUSE_MS ? RESTORE_PAUSE_MS : 0
    void sleep(pauseMs)
      .then(() => this.#consumer.restore(reason))
      .catch((error: unknown) => this.#options.client.logger.debug(messageOf(error)))
      .finally(() => {
        this.#restoredAt = performance.now()
        this.#restoring = false
        this.#pull()
      })
  }
}
