import type { ConsumerConfig, ConsumerInfo, StreamInfo } from '@nats-io/jetstream'
import { StartupError, messageOf } from '../domain/errors.ts'
import type { ConsumerOptions } from './batch-processor.ts'
import type { NatsClient } from './connection.ts'
import { natsMetrics } from './metrics.ts'
import { covers, isConsumerNotFound, isMessageNotFound, NANOS_PER_MS, undefinedIf } from './streams.ts'

type DurableDefinition = Required<
  Pick<ConsumerOptions, 'stream' | 'durable' | 'filterSubject' | 'ackWaitMs' | 'maxAckPending'>
>

/** A durable pull consumer on the server, and its ack floor: the stream sequence up to which every message is acknowledged. */
export class DurableConsumer {
  readonly definition: DurableDefinition
  readonly #client: NatsClient
  readonly #store: AckFloorStore
  /** Creation time of the stream: a new stream of the same name has new sequences. */
  #streamCreated = ''
  /** The highest ack floor that the server or the store has reported. */
  #ackFloor = 0

  constructor(client: NatsClient, definition: DurableDefinition) {
    this.#client = client
    this.definition = definition
    this.#store = new AckFloorStore(client, definition.stream, definition.durable)
  }

  /**
   * Creates the consumer if it is missing, otherwise updates its deadlines and limits. A consumer that was deleted while in use,
   * or whose progress the server lost, continues after the ack floor instead of at the beginning of the stream. Throws a
   * StartupError if its filter is not within the stream's subjects or it exists with another configuration, and JetStream's
   * error if the stream is missing or JetStream does not answer.
   */
  async ensure(): Promise<void> {
    const { stream } = this.definition
    const info = await this.#client.manager.streams.info(stream)
    checkFilter(this.definition, info)
    if (info.created !== this.#streamCreated) this.#ackFloor = 0
    this.#streamCreated = info.created
    this.#ackFloor = Math.max(this.#ackFloor, await this.#store.load(info.created))
    const existing = await this.#find()
    if (existing === undefined) return await this.#create()
    checkConfig(this.definition, existing)
    if (existing.ack_floor.stream_seq < this.#ackFloor) return await this.#replace(existing)
    await this.#record(existing)
    await this.#update(existing)
  }

  /** Reads the consumer's progress from the server, for the metrics and for {@link ensure}. */
  async observe(): Promise<void> {
    const info = await this.#find()
    if (info !== undefined) await this.#record(info)
  }

  async #create(): Promise<void> {
    const { stream, durable, filterSubject } = this.definition
    const after = this.#ackFloor
    const start = after === 0 ? {} : ({ deliver_policy: 'by_start_sequence', opt_start_seq: after + 1 } as const)
    await this.#client.manager.consumers.add(stream, { ...toConfig(this.definition), ...start })
    this.#client.logger.info({ stream, durable, filter: filterSubject, after }, 'durable consumer created')
  }

  /** Recreates the consumer, because its start cannot be changed; messages in delivery are redelivered. */
  async #replace({ ack_floor }: ConsumerInfo): Promise<void> {
    const { stream, durable } = this.definition
    this.#client.logger.warn(
      { stream, durable },
      `NATS lost the progress of ${durable}: ack floor ${ack_floor.stream_seq}, expected ${this.#ackFloor}; recreating it`,
    )
    await this.#client.manager.consumers.delete(stream, durable)
    await this.#create()
  }

  async #find(): Promise<ConsumerInfo | undefined> {
    const { stream, durable } = this.definition
    return await undefinedIf(isConsumerNotFound, this.#client.manager.consumers.info(stream, durable))
  }

  async #record({ ack_floor, num_pending, num_ack_pending }: ConsumerInfo): Promise<void> {
    const { durable } = this.definition
    natsMetrics.pending.set({ durable }, num_pending)
    natsMetrics.ackPending.set({ durable }, num_ack_pending)
    // A lower value means that the server lost progress, which `ensure` repairs.
    this.#ackFloor = Math.max(this.#ackFloor, ack_floor.stream_seq)
    await this.#store.save({ streamCreated: this.#streamCreated, ackFloor: this.#ackFloor })
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
function toConfig({ durable, filterSubject, ackWaitMs, maxAckPending }: DurableDefinition) {
  return {
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

interface Progress {
  readonly streamCreated: string
  readonly ackFloor: number
}

const STREAM = 'consumer_progress'

/**
 * Stores the ack floor of a durable consumer as a message in a stream, because a killed server can lose the consumer's progress but
 * not its messages: nats-server 2.10 does not write the progress atomically and then starts at the beginning. The stored value can
 * be behind, never ahead. To restart a consumer at the beginning, delete this stream as well. If it cannot be read or written, only
 * the server's progress counts.
 */
class AckFloorStore {
  readonly #client: NatsClient
  readonly #subject: string
  #saved = 0

  constructor(client: NatsClient, stream: string, durable: string) {
    this.#client = client
    this.#subject = `${STREAM}.${stream}.${durable}`
  }

  /** Returns the ack floor in the stream with this creation time; 0 if unknown. */
  async load(streamCreated: string): Promise<number> {
    try {
      const message = await this.#client.manager.streams.getMessage(STREAM, { last_by_subj: this.#subject })
      const progress = message?.json<Progress>()
      return progress?.streamCreated === streamCreated ? progress.ackFloor : 0
    } catch (error) {
      if (!isMessageNotFound(error)) this.#log(error)
      return 0
    }
  }

  async save({ streamCreated, ackFloor }: Progress): Promise<void> {
    if (ackFloor === this.#saved) return
    try {
      if (this.#saved === 0) await this.#ensureStream()
      await this.#client.jetstream.publish(this.#subject, JSON.stringify({ streamCreated, ackFloor }))
      this.#saved = ackFloor
    } catch (error) {
      this.#log(error)
    }
  }

  async #ensureStream(): Promise<void> {
    const limits = { max_msgs_per_subject: 1, storage: 'file', discard: 'old' } as const
    await this.#client.manager.streams.add({ name: STREAM, subjects: [`${STREAM}.>`], ...limits })
  }

  #log(error: unknown): void {
    this.#client.logger.debug({ subject: this.#subject }, `cannot access the stored ack floor: ${messageOf(error)}`)
  }
}
