import { oneLine } from '../runner/startup.ts'
import type { ConsumerOptions } from './consumer.ts'
import { publishDeadLetter } from './dead-letter.ts'
import type { PulledMessage, Verdict } from './delivery.ts'
import { natsMetrics } from './metrics.ts'
import { createProducer } from './producer.ts'
import type { ClosableProducer } from './producer.ts'

const MAX_RETRY_DELAY_MS = 60_000

/** What waits for its turn behind the batch in hand. */
interface Backlog {
  readonly buffered: readonly PulledMessage[]
}

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
  #overtimeTimer: NodeJS.Timeout | undefined
  #inHand: readonly PulledMessage[] = []
  readonly #retries: Retry[] = []

  constructor(options: ConsumerOptions, ackWaitMs: number, backlog: Backlog, stopping: AbortSignal) {
    this.#options = options
    this.#backlog = backlog
    this.#maxDeliver = options.maxDeliver ?? 5
    this.#producer = createProducer(options.client)
    this.#keepTimer = setInterval(() => this.#extendDeadlines(), ackWaitMs / 3)
    const onStop = (): void => {
      const stopTimeoutMs = options.stopTimeoutMs ?? 8000
      this.#overtimeTimer = setTimeout(() => this.#overtime.abort(), stopTimeoutMs)
    }
    stopping.addEventListener('abort', onStop, { once: true })
    this.#offStop = () => stopping.removeEventListener('abort', onStop)
  }

  /** Never rejects: every message is answered, or comes again after its deadline. */
  async handle(batch: readonly PulledMessage[]): Promise<void> {
    this.#inHand = batch
    this.#observe(batch)
    const usual: PulledMessage[] = []
    for (const message of batch) {
      if (message.attempt <= this.#maxDeliver) usual.push(message)
      else await this.#handleSuspect(message)
    }
    await this.#handleTogether(usual)
    this.#inHand = []
  }

  stop(): void {
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
    if (message.attempt <= 2 * this.#maxDeliver) return await this.#handleTogether([message])
    await this.#carryOut(message, {
      kind: 'dead_letter',
      reason: `delivered ${message.attempt - 1} times and never answered: the service ended while it had it`,
    })
  }

  async #handleTogether(batch: readonly PulledMessage[]): Promise<void> {
    if (batch.length === 0) return
    const { verdicts, failed } = await this.#verdictsOn(batch)
    // An answer that is sent while NATS is away is lost, and the message would be handled a second time.
    await this.#options.client.link.untilConnected(this.#overtime.signal).catch(() => {})
    await Promise.all(batch.map((message, index) => this.#carryOut(message, verdicts[index])))
    const retries = this.#retries.splice(0)
    if (!failed) this.#tellRetries(retries)
  }

  async #verdictsOn(
    batch: readonly PulledMessage[],
  ): Promise<{ readonly verdicts: readonly Verdict[]; readonly failed: boolean }> {
    const { durable, client } = this.#options
    const endTimer = natsMetrics.batchSeconds.startTimer({ durable })
    try {
      const verdicts = await this.#options.handle(batch, this.#overtime.signal)
      if (verdicts.length === batch.length) return { verdicts, failed: false }
      throw new Error(`the handler gave ${verdicts.length} verdicts for ${batch.length} messages`)
    } catch (error) {
      const reason = oneLine(error)
      client.logger.error({ durable, messages: batch.length, err: error }, `a batch failed and is retried: ${reason}`)
      return { verdicts: batch.map(() => ({ kind: 'retry', reason })), failed: true }
    } finally {
      endTimer()
    }
  }

  async #carryOut(message: PulledMessage, verdict: Verdict | undefined): Promise<void> {
    const { durable } = this.#options
    switch (verdict?.kind) {
      case 'ack':
        message.ack()
        natsMetrics.consumed.inc({ durable, outcome: 'ack' })
        return
      case 'dead_letter':
        return await this.#deadLetter(message, verdict.reason)
      case 'retry':
        if (message.attempt >= this.#maxDeliver) return await this.#deadLetter(message, verdict.reason)
        return this.#retry(message, verdict.reason)
      case undefined:
        return this.#retry(message, 'the handler gave no verdict')
    }
  }

  #retry(message: PulledMessage, reason: string): void {
    const { durable } = this.#options
    message.nak(this.#delayAfter(message))
    natsMetrics.consumed.inc({ durable, outcome: 'retry' })
    this.#retries.push({ message, reason })
  }

  #delayAfter({ attempt }: PulledMessage): number {
    const { retryDelayMs = 1000 } = this.#options
    return Math.min(retryDelayMs * 2 ** (attempt - 1), MAX_RETRY_DELAY_MS)
  }

  /** One line for a batch, with the first message's ids: a batch can be large and fail for one cause. */
  #tellRetries(retries: readonly Retry[]): void {
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
      client.logger.error(this.#idsOf(message), `cannot store the dead letter, the message is kept: ${oneLine(error)}`)
      return
    }
    message.term()
    natsMetrics.consumed.inc({ durable, outcome: 'dead_letter' })
    client.logger.warn(this.#idsOf(message), `dead letter: ${reason}`)
  }

  #extendDeadlines(): void {
    if (!this.#options.client.link.connected) return
    for (const message of this.#inHand) message.working()
    for (const message of this.#backlog.buffered) message.working()
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
