import { ByteBudget } from '../../domain/byte-budget.ts'
import { messageOf } from '../../domain/errors.ts'
import { ConsumerLog } from './consumer-log.ts'
import type { ConsumerOptions } from './consumer-options.ts'
import { DeadLetterQueue } from './dead-letter-queue.ts'
import type { MessageFailure, MessageResult, PulledMessage } from '../delivery.ts'
import { natsMetrics } from '../metrics.ts'

const MAX_RETRY_DELAY_MS = 60_000
const MAX_OPEN = 1000
const MAX_OPEN_BYTES = 64 * 1024 * 1024
const NO_RESULT: MessageResult = { kind: 'retry', reason: 'the handler returned no result' }

/** `logged`: the reason has already been logged for the whole batch. */
type LoggedResult = MessageResult & { readonly logged?: boolean }
type FailedResult = MessageFailure & { readonly logged?: boolean }

/** Passes batches to the handler, executes its results, and extends the ack deadlines of all messages meanwhile. */
export class BatchProcessor {
  readonly #options: ConsumerOptions
  readonly #source: { readonly buffered: readonly PulledMessage[] }
  readonly #maxDeliver: number
  /** Aborts when the time for a graceful stop has passed. */
  readonly #stopTimeout = new AbortController()
  readonly #extendTimer: NodeJS.Timeout
  readonly #offStop: () => void
  #stopTimer: NodeJS.Timeout | undefined
  /** Messages passed to the handler and not answered. */
  readonly #inProgress = new Set<PulledMessage>()
  /** Messages whose result is pending, or whose acknowledgement is not sent yet. */
  readonly #open: ByteBudget
  readonly #deadLetters: DeadLetterQueue
  readonly #log: ConsumerLog
  #stopped = false
  /** Messages to acknowledge in this turn of the event loop. */
  #acknowledged: PulledMessage[] = []
  #wake: () => void = () => {}

  constructor(
    options: ConsumerOptions & { readonly ackWaitMs: number; readonly maxAckPending: number },
    source: { readonly buffered: readonly PulledMessage[] },
    stopping: AbortSignal,
  ) {
    this.#options = options
    this.#source = source
    this.#maxDeliver = options.maxDeliver ?? 5
    const { maxOpen = MAX_OPEN, maxOpenBytes = MAX_OPEN_BYTES } = options
    this.#open = new ByteBudget({ items: maxOpen, bytes: maxOpenBytes })
    this.#log = new ConsumerLog(options)
    this.#deadLetters = new DeadLetterQueue({
      options,
      limits: { items: Math.ceil(options.maxAckPending / 2), bytes: maxOpenBytes / 2 },
      log: this.#log,
      stallMs: options.ackWaitMs,
      delayAfter: (attempt) => this.#delayAfter(attempt),
      onAnswered: () => this.#wake(),
    })
    this.#extendTimer = setInterval(() => this.#extendDeadlines(), options.ackWaitMs / 4)
    const onStop = (): void => {
      this.#stopTimer = setTimeout(() => {
        this.#stopTimeout.abort()
        this.#deadLetters.close()
        this.#wake()
      }, options.stopTimeoutMs ?? 8000)
    }
    stopping.addEventListener('abort', onStop, { once: true })
    this.#offStop = () => stopping.removeEventListener('abort', onStop)
  }

  /** Resolves when a further batch can be handled. Never rejects: a message without an answer is redelivered after its deadline. */
  async handle(batch: readonly PulledMessage[]): Promise<void> {
    this.#observe(batch)
    const fresh = batch.filter((message) => !this.#deadLetters.resume(message))
    for (const message of fresh) this.#inProgress.add(message)
    const usual: PulledMessage[] = []
    for (const message of fresh) {
      if (message.attempt <= this.#maxDeliver) usual.push(message)
      else await this.#processInIsolation(message)
    }
    await this.#process(usual)
    await this.#waitWhile(() => this.#open.isFull)
  }

  /** Resolves when every message passed to the handler is answered, or the time for a graceful stop has passed. */
  async settled(): Promise<void> {
    await this.#waitWhile(() => !this.#open.isEmpty || !this.#deadLetters.isEmpty)
  }

  /** The message with the lowest stream sequence that is not answered; undefined if all are. */
  get oldestHeld(): PulledMessage | undefined {
    let oldest: PulledMessage | undefined
    for (const message of this.#held()) {
      if (oldest === undefined || message.streamSequence < oldest.streamSequence) oldest = message
    }
    return oldest
  }

  /** Stops; messages without an answer are redelivered from now on. */
  stop(): void {
    this.#stopped = true
    clearInterval(this.#extendTimer)
    clearTimeout(this.#stopTimer)
    this.#offStop()
    this.#deadLetters.close()
  }

  /**
   * A message with more attempts than allowed had no result in its last attempts: the process crashed on it, or on another
   * message of its batch. It is processed alone to protect the others, and becomes a dead letter at twice the allowed attempts.
   */
  async #processInIsolation(message: PulledMessage): Promise<void> {
    if (message.attempt <= 2 * this.#maxDeliver) {
      await this.#process([message])
      return await this.#waitWhile(() => !this.#open.isEmpty)
    }
    const reason = `delivered ${message.attempt - 1} times and never acknowledged; the worker probably crashed`
    await this.#conclude(message, { kind: 'dead_letter', reason, cause: 'crash' })
  }

  /** Answers the messages that have a result; does not wait for pending results. */
  async #process(batch: readonly PulledMessage[]): Promise<void> {
    if (batch.length === 0) return
    const endTimer = natsMetrics.batchSeconds.startTimer({ durable: this.#options.durable })
    const results = await this.#callHandler(batch)
    const concluding: Promise<void>[] = []
    let pending = 0
    const onAnswer = (): void => {
      if (--pending === 0) endTimer()
    }
    // Hot path: no iterator, and no promise for a message that is acknowledged immediately.
    for (let index = 0; index < batch.length;) {
      const message = batch[index]
      const result = results[index]
      if (message === undefined) break
      if (result instanceof Promise) {
        const first = index
        while (results[index] === result) index += 1
        pending += 1
        this.#concludeLater(batch.slice(first, index), result, onAnswer)
      } else {
        index += 1
        const concluded = this.#conclude(message, result)
        if (concluded !== undefined) concluding.push(concluded)
      }
    }
    await Promise.all(concluding)
    if (pending === 0) endTimer()
  }

  /** Concludes consecutive messages that have one result, such as those of a bundle, when it is known. */
  #concludeLater(messages: readonly PulledMessage[], pending: Promise<MessageResult>, onAnswer: () => void): void {
    for (const message of messages) this.#open.add(message.bytes)
    let left = messages.length
    const onConcluded = (message: PulledMessage): void => {
      this.#open.remove(message.bytes)
      this.#wake()
      if (--left === 0) onAnswer()
    }
    const conclude = (result: MessageResult): void => {
      for (const message of messages) {
        const concluded = this.#conclude(message, result)
        if (concluded === undefined) onConcluded(message)
        else void concluded.then(() => onConcluded(message))
      }
    }
    pending.then(conclude, (error: unknown) => conclude({ kind: 'retry', reason: messageOf(error) }))
  }

  /** Executes a result; returns undefined if it completed synchronously. The promise never rejects. */
  #conclude(message: PulledMessage, result: LoggedResult = NO_RESULT): Promise<void> | undefined {
    if (this.#stopped) return undefined
    if (result.kind !== 'ack') return this.#concludeFailed(message, result)
    this.#acknowledge(message)
    return undefined
  }

  async #concludeFailed(message: PulledMessage, result: FailedResult): Promise<void> {
    await this.#untilConnected()
    const { kind, reason, logged = false } = result
    if (kind === 'dead_letter' || message.attempt >= this.#maxDeliver) this.#deadLetters.add(message, result)
    else this.#retry(message, reason, logged)
    this.#inProgress.delete(message)
  }

  async #waitWhile(condition: () => boolean): Promise<void> {
    while (condition() && !this.#stopTimeout.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async #callHandler(batch: readonly PulledMessage[]): Promise<readonly (LoggedResult | Promise<MessageResult>)[]> {
    const { durable, client } = this.#options
    try {
      const results = await this.#options.handle(batch, this.#stopTimeout.signal)
      if (results.length === batch.length) return results
      throw new Error(`the handler returned ${results.length} results for ${batch.length} messages`)
    } catch (error) {
      const reason = messageOf(error)
      client.logger.error({ durable, messages: batch.length, err: error }, `batch failed, retrying: ${reason}`)
      return batch.map((): LoggedResult => ({ kind: 'retry', reason, logged: true }))
    }
  }

  /** Acknowledges together with all other messages of this turn of the event loop, because a write costs more than a message. */
  #acknowledge(message: PulledMessage): void {
    this.#open.add(message.bytes)
    if (this.#acknowledged.push(message) === 1) setImmediate(() => void this.#sendAcknowledgements())
  }

  async #sendAcknowledgements(): Promise<void> {
    await this.#untilConnected()
    const messages = this.#acknowledged
    this.#acknowledged = []
    for (const message of messages) {
      message.ack()
      this.#open.remove(message.bytes)
      this.#inProgress.delete(message)
    }
    natsMetrics.consumed.inc({ durable: this.#options.durable, outcome: 'ack' }, messages.length)
    this.#wake()
  }

  /** Waits for NATS: an answer sent while it is disconnected is lost, and the message would be handled a second time. */
  async #untilConnected(): Promise<void> {
    const { link } = this.#options.client
    if (!link.connected) await link.untilConnected(this.#stopTimeout.signal).catch(() => {})
  }

  #retry(message: PulledMessage, reason: string, logged: boolean): void {
    message.nak(this.#delayAfter(message.attempt))
    natsMetrics.consumed.inc({ durable: this.#options.durable, outcome: 'retry' })
    if (!logged) this.#log.warnPerTurn(message, `retrying: ${reason}`)
  }

  #delayAfter(attempt: number): number {
    const { retryDelayMs = 1000 } = this.#options
    return Math.min(retryDelayMs * 2 ** (attempt - 1), MAX_RETRY_DELAY_MS)
  }

  #extendDeadlines(): void {
    if (!this.#options.client.link.connected) return
    for (const message of this.#held()) message.extendAckDeadline()
  }

  *#held(): Generator<PulledMessage> {
    yield* this.#inProgress
    yield* this.#deadLetters.waiting
    yield* this.#source.buffered
  }

  #observe(batch: readonly PulledMessage[]): void {
    const { durable } = this.#options
    natsMetrics.batchSize.observe({ durable }, batch.length)
    const again = batch.filter(({ attempt }) => attempt > 1).length
    if (again > 0) natsMetrics.redelivered.inc({ durable }, again)
  }
}
