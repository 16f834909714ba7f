import type { ConsumerConfig, ConsumerInfo, StreamInfo } from '@nats-io/jetstream'
import { StartupError } from '../../domain/errors.ts'
import { AckFloorStore } from './ack-floor-store.ts'
import type { ConsumerOptions } from './consumer-options.ts'
import type { NatsClient } from '../connection.ts'
import type { PulledMessage } from '../delivery.ts'
import { natsMetrics } from '../metrics.ts'
import { covers, isConsumerNotFound, isWorkQueue, NANOS_PER_MS, undefinedIf } from '../streams.ts'
import { UnreadMonitor } from './unread-monitor.ts'

type DurableDefinition = Required<
  Pick<ConsumerOptions, 'stream' | 'durable' | 'filterSubject' | 'ackWaitMs' | 'maxAckPending'>
> &
  Pick<ConsumerOptions, 'startAfter'>

/** Time after which the server deletes the consumer of a process that has ended. */
const UNUSED_LIMIT_MS = 5 * 60 * 1000

/**
 * A durable pull consumer on the server, and its ack floor: the stream sequence up to which every message is acknowledged, or was
 * dropped by the stream when no instance held it.
 */
export class DurableConsumer {
  readonly definition: DurableDefinition
  readonly #client: NatsClient
  /** Undefined for the consumer of a process: a stored ack floor would never be used again. */
  readonly #store: AckFloorStore | undefined
  #unread: UnreadMonitor
  /** Creation time of the stream: a new stream of the same name has new sequences. */
  #streamCreated = ''
  /** The highest ack floor that the server or the store has reported; 0 for a work queue, which deletes acknowledged messages. */
  #ackFloor: number

  constructor(client: NatsClient, definition: DurableDefinition) {
    this.#client = client
    this.definition = definition
    const { stream, durable, startAfter } = definition
    this.#store = startAfter === undefined ? new AckFloorStore(client, stream, durable) : undefined
    this.#ackFloor = startAfter ?? 0
    this.#unread = new UnreadMonitor(client, definition)
  }

  /**
   * Creates the consumer if it is missing, otherwise updates its deadlines and limits. A consumer that was deleted while in use,
   * or whose progress the server lost, continues after the ack floor instead of at the beginning of the stream. Throws a
   * StartupError if its filter is not within the stream's subjects or it exists with another configuration, and JetStream's
   * error if the stream is missing or JetStream does not answer.
   */
  async ensure(): Promise<void> {
    const stream = await this.#client.manager.streams.info(this.definition.stream)
    checkFilter(this.definition, stream)
    if (stream.created !== this.#streamCreated) {
      this.#ackFloor = this.#streamCreated === '' ? this.#ackFloor : 0
      this.#unread = new UnreadMonitor(this.#client, this.definition)
    }
    this.#streamCreated = stream.created
    if (this.#store && !isWorkQueue(stream))
      this.#ackFloor = Math.max(this.#ackFloor, await this.#store.load(stream.created))
    const existing = await this.#find()
    if (existing === undefined) return await this.#create(stream)
    checkConfig(this.definition, existing)
    if (existing.ack_floor.stream_seq < this.#ackFloor) return await this.#replace(stream, existing)
    if (!this.#unread.started) this.#unread.start(stream, this.#ackFloor, existing)
    await this.#update(existing)
  }

  /** Must be called for each received message, in order. */
  received(message: PulledMessage): void {
    this.#unread.received(message)
  }

  /**
   * Reads the state of the consumer and its stream: stores the ack floor, exports the lag, and reports messages that the stream
   * dropped, or will soon drop, before they were read. `oldestHeld` is the oldest message that this instance has not answered.
   */
  async observe(oldestHeld: PulledMessage | undefined): Promise<void> {
    const stream = await this.#client.manager.streams.info(this.definition.stream)
    const info = await this.#find()
    if (info === undefined || stream.created !== this.#streamCreated) return
    const { durable } = this.definition
    natsMetrics.pending.set({ durable }, info.num_pending)
    natsMetrics.ackPending.set({ durable }, info.num_ack_pending)
    // The server advances its ack floor past messages that the stream drops, although this instance may still handle them.
    const ackFloor = Math.min(info.ack_floor.stream_seq, (oldestHeld?.streamSequence ?? Infinity) - 1)
    if (!isWorkQueue(stream)) {
      // A lower value means that the server lost progress, which `ensure` repairs.
      this.#ackFloor = Math.max(this.#ackFloor, ackFloor)
      await this.#store?.save({ streamCreated: this.#streamCreated, ackFloor: this.#ackFloor })
    }
    await this.#unread.observe(stream, info, ackFloor, oldestHeld)
  }

  async #create(stream: StreamInfo): Promise<void> {
    const { durable, filterSubject } = this.definition
    const after = this.#ackFloor
    const start = after === 0 ? {} : ({ deliver_policy: 'by_start_sequence', opt_start_seq: after + 1 } as const)
    const created = await this.#client.manager.consumers.add(this.definition.stream, {
      ...toConfig(this.definition),
      ...start,
    })
    this.#unread.start(stream, after, created)
    this.#client.logger.info(
      { stream: this.definition.stream, durable, filter: filterSubject, after },
      'durable consumer created',
    )
  }

  /** Recreates the consumer, because its start cannot be changed; messages in delivery are redelivered. */
  async #replace(stream: StreamInfo, { ack_floor }: ConsumerInfo): Promise<void> {
    const { durable } = this.definition
    this.#client.logger.warn(
      { stream: this.definition.stream, durable },
      `NATS lost the progress of ${durable}: ack floor ${ack_floor.stream_seq}, expected ${this.#ackFloor}; recreating it`,
    )
    await this.#client.manager.consumers.delete(this.definition.stream, durable)
    await this.#create(stream)
  }

  async #find(): Promise<ConsumerInfo | undefined> {
    const { stream, durable } = this.definition
    return await undefinedIf(isConsumerNotFound, this.#client.manager.consumers.info(stream, durable))
  }

  async #update({ config }: ConsumerInfo): Promise<void> {
    const { stream, durable } = this.definition
    const { ack_wait, max_ack_pending, max_deliver } = toConfig(this.definition)
    const limits = { ack_wait, max_ack_pending, max_deliver }
    if (config.ack_wait === ack_wait && config.max_ack_pending === max_ack_pending && config.max_deliver === -1) return
    await this.#client.manager.consumers.update(stream, durable, limits)
    this.#client.logger.info({ stream, durable }, 'durable consumer updated')
  }
}

/**
 * Returns the configuration. `max_deliver` is unlimited, because the server would silently stop delivering a message whose last
 * attempt ended in a crash. The consumer counts the attempts from the delivery count of each message.
 */
function toConfig({ durable, filterSubject, ackWaitMs, maxAckPending, startAfter }: DurableDefinition) {
  return {
    ...(startAfter === undefined ? {} : { inactive_threshold: UNUSED_LIMIT_MS * NANOS_PER_MS }),
    durable_name: durable,
    ack_policy: 'explicit',
    deliver_policy: 'all',
    filter_subject: filterSubject,
    ack_wait: ackWaitMs * NANOS_PER_MS,
    max_ack_pending: maxAckPending,
    max_deliver: -1,
  } as const satisfies Partial<ConsumerConfig>
}

function checkFilter({ stream, durable, filterSubject }: DurableDefinition, info: StreamInfo): void {
  const { subjects } = info.config
  if (subjects.some((subject) => covers(subject, filterSubject))) return
  throw new StartupError(
    `consumer ${durable} filters ${filterSubject}, but stream ${stream} has the subjects ${subjects.join(', ')}; ` +
      `expected a filter within the subjects`,
  )
}

function checkConfig({ stream, durable, filterSubject }: DurableDefinition, { config }: ConsumerInfo): void {
  const found = [
    config.filter_subject === filterSubject
      ? ''
      : `filter ${config.filter_subject ?? 'none'} (expected ${filterSubject})`,
    config.ack_policy === 'explicit' ? '' : `ack policy ${config.ack_policy} (expected explicit)`,
    config.deliver_subject === undefined ? '' : `push delivery to ${config.deliver_subject} (expected pull)`,
  ].filter((difference) => difference !== '')
  if (found.length === 0) return
  throw new StartupError(
    `consumer ${durable} exists on stream ${stream} with ${found.join(', ')}; delete it or choose another name`,
  )
}
