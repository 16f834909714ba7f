import type { ConsumerInfo, StreamInfo } from '@nats-io/jetstream'
import type { ConsumerOptions } from './consumer-options.ts'
import type { NatsClient } from '../connection.ts'
import type { PulledMessage } from '../delivery.ts'
import { LimitWatch } from '../limit-watch.ts'
import { natsMetrics } from '../metrics.ts'
import { ReadPosition } from './read-position.ts'
import { ageOf, covers, isMessageNotFound, isWorkQueue, NANOS_PER_MS, undefinedIf } from '../streams.ts'

/**
 * Reports the messages of a stream that expire, or are purged, before a durable consumer has read them: counts them and logs their
 * range, and warns when the oldest unread message has used 80 % of the age limit. A consumer whose filter covers only a part of the
 * stream is not counted, because its deliveries have gaps; neither is that of a work queue, whose messages can be removed earlier.
 */
export class UnreadMonitor {
  readonly #client: NatsClient
  readonly #options: Pick<ConsumerOptions, 'stream' | 'durable' | 'filterSubject'>
  readonly #position = new ReadPosition()
  readonly #age = new LimitWatch()
  #started = false
  #isCounted = false

  constructor(client: NatsClient, options: Pick<ConsumerOptions, 'stream' | 'durable' | 'filterSubject'>) {
    this.#client = client
    this.#options = options
  }

  get started(): boolean {
    return this.#started
  }

  /** Begins with the state of the consumer and its ack floor; 0 if the floor is unknown. */
  start({ config, state }: StreamInfo, ackFloor: number, { delivered }: ConsumerInfo): void {
    this.#started = true
    const isComplete = config.subjects.every((subject) => covers(this.#options.filterSubject, subject))
    this.#isCounted = isComplete && !isWorkQueue({ config })
    this.#position.start(ackFloor === 0 ? delivered.stream_seq : ackFloor, state.first_seq, {
      streamSequence: delivered.stream_seq,
      consumerSequence: delivered.consumer_seq,
    })
  }

  received(message: PulledMessage): void {
    if (this.#isCounted) this.#position.received(message)
  }

  async observe(
    stream: StreamInfo,
    { delivered }: ConsumerInfo,
    ackFloor: number,
    oldestHeld: PulledMessage | undefined,
  ): Promise<void> {
    if (this.#isCounted) {
      this.#position.observe(stream.state.first_seq, delivered.stream_seq)
      this.#reportDropped(stream.state.first_seq)
    }
    const ageMs =
      oldestHeld?.streamSequence === ackFloor + 1
        ? ageOf(stream, oldestHeld.storedAtMs)
        : await this.#ageOfUnread(stream, ackFloor)
    this.#reportAge(stream, ageMs)
  }

  #reportDropped(firstInStream: number): void {
    const dropped = this.#position.takeDropped(firstInStream)
    if (dropped === undefined) return
    const { stream, durable } = this.#options
    natsMetrics.expiredUnread.inc({ stream, durable }, dropped.count)
    this.#client.logger.error(
      { stream, durable, messages: dropped.count, first_sequence: dropped.first, last_sequence: dropped.last },
      `the stream dropped ${dropped.count} messages that ${durable} had not received or not acknowledged: they reached the age limit or were purged; raise the limit with nats stream edit --max-age`,
    )
  }

  /** Returns the age of the oldest message in the stream after the ack floor; 0 if there is none. */
  async #ageOfUnread(stream: StreamInfo, ackFloor: number): Promise<number> {
    const { first_seq, first_ts, last_seq } = stream.state
    const seq = Math.max(ackFloor + 1, first_seq)
    if (seq > last_seq) return 0
    if (seq === first_seq) return ageOf(stream, Date.parse(first_ts))
    const message = await undefinedIf(
      isMessageNotFound,
      this.#client.manager.streams.getMessage(stream.config.name, { seq }),
    )
    return message === undefined || message === null ? 0 : ageOf(stream, message.time.getTime())
  }

  #reportAge({ config }: StreamInfo, ageMs: number): void {
    const { stream, durable } = this.#options
    natsMetrics.oldestUnreadSeconds.set({ stream, durable }, ageMs / 1000)
    if (config.max_age === 0) return
    const limitMs = config.max_age / NANOS_PER_MS
    if (!this.#age.reaches(ageMs / limitMs)) return
    const percent = Math.round((100 * ageMs) / limitMs)
    this.#client.logger.warn(
      { stream, durable },
      `the oldest unread message of ${durable} has used ${percent} % of the age limit of ${limitMs / 1000} s; at the limit the stream drops it`,
    )
  }
}
