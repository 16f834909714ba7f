import { messageOf } from '../domain/errors.ts'
import type { ConsumerOptions } from './consumer.ts'
import { publishDeadLetter } from './dead-letters.ts'
import type { PendingVerdict, PulledMessage, Verdict } from './delivery.ts'
import { natsMetrics } from './metrics.ts'
import { createProducer, type ClosableProducer } from './producer.ts'

const MAX_RETRY_DELAY_MS = 60_000
const MAX_OPEN = 1000

/** What waits for its turn behind the batch in hand. */
interface Backlog {
  readonly buffered: readonly PulledMessage[]
}

/** `isTold`: the log has it already, for the whole batch. */
type OwnVerdict = Verdict & { readonly isTold?: boolean }

interface Retry {
  readonly message: PulledMessage
  readonly reason: string
}

/** Hands batches to the handler and carries out its verdicts, while the acknowledgement deadlines of all are extended. */
export class BatchHandling {
  readonly #options: ConsumerOptions
  readonly #backlog: Backlog
  readonly #producer: ClosableProducer
  readonly #maxDeliver: number
  readonly #overtime = new AbortController()
  readonly #keepTimer: NodeJS.Timeout
  readonly #offStop: () => void
  readonly #maxOpen: number
  #overtimeTimer: NodeJS.Timeout | undefined
  /** Handed over and not answered. */
  readonly #inHand = new Set<PulledMessage>()
  /** Answers that are still to come. */
  #open = 0
  #stopped = false
  /** To be acknowledged in a moment. */
  #acknowledged: PulledMessage[] = []
  #wake: () => void = () => {}
  #retries: Retry[] = []

  constructor(options: ConsumerOptions, ackWaitMs: number, backlog: Backlog, stopping: AbortSignal) {
    this.#options = options
    this.#backlog = backlog
    this.#maxDeliver = options.maxDeliver ?? 5
    this.#maxOpen = options.maxOpen ?? MAX_OPEN
    this.#producer = createProducer(options.client)
    this.#keepTimer = setInterval(() => this.#extendDeadlines(), ackWaitMs / 4)
    const onStop = (): void => {
      const stopTimeoutMs = options.stopTimeoutMs ?? 8000
      this.#overtimeTimer = setTimeout(() => this.#endOvertime(), stopTimeoutMs)
    }
    stopping.addEventListener('abort', onStop, { once: true })
    this.#offStop = () => stopping.removeEventListener('abort', onStop)
  }

  /**
   * Resolves when a further batch can be handled. Never rejects: every message is answered, or comes again after its deadline.
   */
  async handle(batch: readonly PulledMessage[]): Promise<void> {
    for (const message of batch) this.#inHand.add(message)
    this.#observe(batch)
    const usual: PulledMessage[] = []
    for (const message of batch) {
      if (message.attempt <= this.#maxDeliver) usual.push(message)
      else await this.#handleSuspect(message)
    }
    await this.#handleTogether(usual)
    await this.#fewerOpenThan(this.#maxOpen)
  }

  /** Resolves when every message that was handed over is answered, or the time for that is over. */
  async settled(): Promise<void> {
    await this.#fewerOpenThan(1)
  }

  /** What is answered from now on comes again all the same. */
  stop(): void {
    this.#stopped = true
    clearInterval(this.#keepTimer)
    clearTimeout(this.#overtimeTimer)
    this.#offStop()
    this.#producer.close()
  }

  /**
   * Came more often than it should, so its last attempts ended without a verdict: the process died with it, or with another
   * message of its batch. Alone it harms no neighbour; and at twice the number it is given up without another try.
   */
  async #handleSuspect(message: PulledMessage): Promise<void> {
    if (message.attempt <= 2 * this.#maxDeliver) {
      await this.#handleTogether([message])
      return await this.settled()
    }
    await this.#conclude(message, {
      kind: 'dead_letter',
      reason: `delivered ${message.attempt - 1} times and never answered: the service ended while it had it`,
    })
  }

  /** Answers at once what has its verdict, and goes on without the rest. */
  async #handleTogether(batch: readonly PulledMessage[]): Promise<void> {
    if (batch.length === 0) return
    const endTimer = natsMetrics.batchSeconds.startTimer({ durable: this.#options.durable })
    const verdicts = await this.#verdictsOn(batch)
    const now: Promise<void>[] = []
    let pending = 0
    const onAnswer = (): void => {
      if (--pending === 0) endTimer()
    }
    // No iterator, and no promise for what is acknowledged at once: this is the path of every message.
    for (let index = 0; index < batch.length; index += 1) {
      const message = batch[index]
      const verdict = verdicts[index]
      if (message === undefined) break
      if (verdict instanceof Promise) {
        pending += 1
        this.#concludeLater(message, verdict, onAnswer)
      } else {
        const concluded = this.#conclude(message, verdict)
        if (concluded !== undefined) now.push(concluded)
      }
    }
    await Promise.all(now)
    if (pending === 0) endTimer()
  }

  #concludeLater(message: PulledMessage, pending: Promise<Verdict>, onAnswer: () => void): void {
    this.#open++
    const onConcluded = (): void => {
      this.#open--
      this.#wake()
      onAnswer()
    }
    const conclude = (verdict: Verdict): void => {
      const concluded = this.#conclude(message, verdict)
      if (concluded === undefined) onConcluded()
      else void concluded.then(onConcluded)
    }
    pending.then(conclude, (error: unknown) => conclude({ kind: 'retry', reason: messageOf(error) }))
  }

  /** Undefined when it has been done at once. The promise never rejects. */
  #conclude(message: PulledMessage, verdict: OwnVerdict | undefined): Promise<void> | undefined {
    if (this.#stopped) return undefined
    if (verdict?.kind !== 'ack') return this.#concludeUnusual(message, verdict)
    this.#acknowledge(message)
    return undefined
  }

  async #concludeUnusual(message: PulledMessage, verdict: Exclude<OwnVerdict, { kind: 'ack' }> | undefined) {
    await this.#untilConnected()
    await this.#carryOut(message, verdict)
    this.#inHand.delete(message)
  }

  #endOvertime(): void {
    this.#overtime.abort()
    this.#wake()
  }

  async #fewerOpenThan(limit: number): Promise<void> {
    while (this.#open + this.#acknowledged.length >= limit && !this.#overtime.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async #verdictsOn(batch: readonly PulledMessage[]): Promise<readonly (PendingVerdict | OwnVerdict)[]> {
    const { durable, client } = this.#options
    try {
      const verdicts = await this.#options.handle(batch, this.#overtime.signal)
      if (verdicts.length === batch.length) return verdicts
      throw new Error(`the handler gave ${verdicts.length} verdicts for ${batch.length} messages`)
    } catch (error) {
      const reason = messageOf(error)
      client.logger.error({ durable, messages: batch.length, err: error }, `a batch failed and is retried: ${reason}`)
      return batch.map((): OwnVerdict => ({ kind: 'retry', reason, isTold: true }))
    }
  }

  async #carryOut(message: PulledMessage, verdict: Exclude<OwnVerdict, { kind: 'ack' }> | undefined): Promise<void> {
    switch (verdict?.kind) {
      case 'dead_letter':
        return await this.#deadLetter(message, verdict.reason)
      case 'retry':
        if (message.attempt >= this.#maxDeliver) return await this.#deadLetter(message, verdict.reason)
        return this.#retry(message, verdict.reason, verdict.isTold)
      case undefined:
        return this.#retry(message, 'the handler gave no verdict')
    }
  }

  /** With all others of this turn of the event loop: a write to NATS costs more than a message. */
  #acknowledge(message: PulledMessage): void {
    if (this.#acknowledged.push(message) === 1) setImmediate(() => void this.#sendAcknowledgements())
  }

  async #sendAcknowledgements(): Promise<void> {
    await this.#untilConnected()
    const messages = this.#acknowledged
    this.#acknowledged = []
    for (const message of messages) {
      message.ack()
      this.#inHand.delete(message)
    }
    natsMetrics.consumed.inc({ durable: this.#options.durable, outcome: 'ack' }, messages.length)
    this.#wake()
  }

  /** An answer that is sent while NATS is away is lost, and the message would be handled a second time. */
  async #untilConnected(): Promise<void> {
    const { link } = this.#options.client
    if (!link.connected) await link.untilConnected(this.#overtime.signal).catch(() => {})
  }

  #retry(message: PulledMessage, reason: string, isTold = false): void {
    const { durable } = this.#options
    message.nak(this.#delayAfter(message))
    natsMetrics.consumed.inc({ durable, outcome: 'retry' })
    if (isTold) return
    if (this.#retries.length === 0) setImmediate(() => this.#tellRetries())
    this.#retries.push({ message, reason })
  }

  #delayAfter({ attempt }: PulledMessage): number {
    const { retryDelayMs = 1000 } = this.#options
    return Math.min(retryDelayMs * 2 ** (attempt - 1), MAX_RETRY_DELAY_MS)
  }

  /** One line for those of one moment, with the first message's ids: they can be many and fail for one cause. */
  #tellRetries(): void {
    const retries = this.#retries
    this.#retries = []
    const [first] = retries
    if (first === undefined) return
    const ids = this.#idsOf(first.message)
    this.#options.client.logger.warn({ ...ids, messages: retries.length }, `to be retried: ${first.reason}`)
  }

  /** The message is terminated only when its dead letter is stored (N-4); until then it stays ours. */
  async #deadLetter(message: PulledMessage, reason: string): Promise<void> {
    const { client, durable } = this.#options
    try {
      await publishDeadLetter(this.#producer, this.#options, message, reason, this.#overtime.signal)
    } catch (error) {
      message.nak(this.#delayAfter(message))
      client.logger.error(
        this.#idsOf(message),
        `cannot store the dead letter, the message is kept: ${messageOf(error)}`,
      )
      return
    }
    message.term()
    natsMetrics.consumed.inc({ durable, outcome: 'dead_letter' })
    client.logger.warn(this.#idsOf(message), `dead letter: ${reason}`)
  }

  #extendDeadlines(): void {
    if (!this.#options.client.link.connected) return
    for (const message of this.#inHand) message.grow()
    for (const message of this.#backlog.buffered) message.grow()
  }

  #observe(batch: readonly PulledMessage[]): void {
    const { durable } = this.#options
    natsMetrics.batchSize.observe({ durable }, batch.length)
    const again = batch.filter(({ attempt }) => attempt > 1).length
    if (again > 0) natsMetrics.redelivered.inc({ durable }, again)
  }

  #idsOf(message: PulledMessage): Record<string, unknown> {
    const { stream, durable } = this.#options
    const { subject, streamSequence, attempt } = message
    return { stream, durable, subject, stream_sequence: streamSequence, attempt }
  }
}
