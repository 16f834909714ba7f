import type { ConsumerConfig, ConsumerInfo, StreamInfo } from '@nats-io/jetstream'
import { StartupError, messageOf } from '../domain/errors.ts'
import type { NatsClient } from './connection.ts'
import { natsMetrics } from './metrics.ts'
import { isConsumerNotFound, covers, apiErrorCode } from './streams.ts'

/** A durable pull consumer as this project needs it. */
export interface DurableDefinition {
  readonly stream: string
  readonly durable: string
  readonly filterSubject: string
  readonly ackWaitMs: number
  readonly maxAckPending: number
}

const NANOS_PER_MS = 1_000_000

/** One durable pull consumer on the server, and how far it has come. */
export class Durable {
  readonly definition: DurableDefinition
  readonly #client: NatsClient
  readonly #kept: ConsumerProgress
  /** When the stream was created: in another stream of the same name the sequences start anew. */
  #streamCreated = ''
  /** Everything up to this stream sequence was acknowledged when the server was last asked. */
  #ackFloor = 0

  constructor(client: NatsClient, definition: DurableDefinition) {
    this.#client = client
    this.definition = definition
    this.#kept = new ConsumerProgress(client, definition.stream, definition.durable)
  }

  /**
   * Creates the consumer if it is missing and brings its deadlines and limits up to date. One that was deleted while it was
   * used starts behind what was acknowledged, not at the beginning of the stream; so does one whose progress the server has
   * lost. Throws a StartupError when its filter lies outside the stream's subjects, or when it exists as another kind of
   * consumer; what JetStream itself throws when the stream is missing or JetStream does not answer.
   */
  async ensure(): Promise<void> {
    const { stream } = this.definition
    const info = await this.#client.manager.streams.info(stream)
    checkFilter(this.definition, info)
    if (info.created !== this.#streamCreated) this.#ackFloor = 0
    this.#streamCreated = info.created
    this.#ackFloor = Math.max(this.#ackFloor, await this.#kept.load(info.created))
    const existing = await this.#find()
    if (existing === undefined) return await this.#create()
    checkKind(this.definition, existing)
    if (existing.ack_floor.stream_seq < this.#ackFloor) return await this.#replace(existing)
    await this.#remember(existing)
    await this.#update(existing)
  }

  /** Asks the server how far the consumer is, for the metrics and for {@link ensure}. */
  async observe(): Promise<void> {
    const info = await this.#find()
    if (info !== undefined) await this.#remember(info)
  }

  async #create(): Promise<void> {
    const { stream, durable, filterSubject } = this.definition
    const after = this.#ackFloor
    await this.#client.manager.consumers.add(stream, { ...toConfig(this.definition), ...startAfter(after) })
    this.#client.logger.info({ stream, durable, filter: filterSubject, after }, 'durable consumer created')
  }

  /** The start of a consumer cannot be changed, so another one takes its place; what it has delivered comes again. */
  async #replace({ ack_floor }: ConsumerInfo): Promise<void> {
    const { stream, durable } = this.definition
    this.#client.logger.warn(
      { stream, durable },
      `NATS has lost how far ${durable} was: it is at ${ack_floor.stream_seq} again, and goes on after ${this.#ackFloor}`,
    )
    await this.#client.manager.consumers.delete(stream, durable)
    await this.#create()
  }

  async #find(): Promise<ConsumerInfo | undefined> {
    const { stream, durable } = this.definition
    try {
      return await this.#client.manager.consumers.info(stream, durable)
    } catch (error) {
      if (isConsumerNotFound(error)) return undefined
      throw error
    }
  }

  async #remember({ ack_floor, num_pending, num_ack_pending }: ConsumerInfo): Promise<void> {
    const { durable } = this.definition
    natsMetrics.pending.set({ durable }, num_pending)
    natsMetrics.ackPending.set({ durable }, num_ack_pending)
    // Less than before is a loss, which `ensure` makes good.
    this.#ackFloor = Math.max(this.#ackFloor, ack_floor.stream_seq)
    await this.#kept.save({ streamCreated: this.#streamCreated, ackFloor: this.#ackFloor })
  }

  async #update({ config }: ConsumerInfo): Promise<void> {
    const { stream, durable } = this.definition
    const wanted = toConfig(this.definition)
    const limits = ['ack_wait', 'max_ack_pending', 'max_deliver'] as const
    if (limits.every((limit) => config[limit] === wanted[limit])) return
    const { ack_wait, max_ack_pending, max_deliver } = wanted
    await this.#client.manager.consumers.update(stream, durable, { ack_wait, max_ack_pending, max_deliver })
    this.#client.logger.info({ stream, durable }, 'durable consumer updated')
  }
}

function startAfter(sequence: number): Partial<ConsumerConfig> {
  return sequence === 0 ? {} : { deliver_policy: 'by_start_sequence', opt_start_seq: sequence + 1 }
}

/**
 * `max_deliver` has no limit on the server: it would stop delivering a message whose last attempt ended in a crash, and nobody
 * would hear of it again. The attempts are counted here instead, from what JetStream says with each delivery.
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
    `consumer ${durable} filters ${filterSubject}, but stream ${stream} has the subjects ${subjects.join(', ')}: ` +
      `it would receive nothing; make them match`,
  )
}

function checkKind({ stream, durable, filterSubject }: DurableDefinition, { config }: ConsumerInfo): void {
  const found = [
    config.filter_subject === filterSubject
      ? ''
      : `filter ${config.filter_subject ?? 'none'} (expected ${filterSubject})`,
    config.ack_policy === 'explicit' ? '' : `acknowledgement ${config.ack_policy} (expected explicit)`,
    config.deliver_subject === undefined ? '' : `pushed to ${config.deliver_subject} (expected pull)`,
  ].filter((difference) => difference !== '')
  if (found.length === 0) return
  throw new StartupError(
    `consumer ${durable} exists on stream ${stream} with ${found.join(', ')}; delete it or choose another name`,
  )
}

interface Progress {
  /** In another stream of the same name the sequences start anew. */
  readonly streamCreated: string
  /** Everything up to this stream sequence was acknowledged. */
  readonly ackFloor: number
}

const STREAM = 'consumer_progress'
const NO_MESSAGE_FOUND = 10_037

/**
 * What JetStream says of a durable consumer's progress, kept as a message in a stream: a server that is killed can lose the
 * first (nats-server 2.9 then starts at the beginning again), while messages stay. To have a consumer start at the beginning on
 * purpose, delete this stream with it. A little behind at any time, never ahead.
 * What cannot be read or written now is not: the progress is then that of the server alone.
 */
export class ConsumerProgress {
  readonly #client: NatsClient
  readonly #subject: string
  #saved = 0

  constructor(client: NatsClient, stream: string, durable: string) {
    this.#client = client
    this.#subject = `${STREAM}.${stream}.${durable}`
  }

  /** Of the stream created then; 0 if nothing is known. */
  async load(streamCreated: string): Promise<number> {
    try {
      const message = await this.#client.manager.streams.getMessage(STREAM, { last_by_subj: this.#subject })
      const progress = message?.json<Progress>()
      return progress?.streamCreated === streamCreated ? progress.ackFloor : 0
    } catch (error) {
      if (apiErrorCode(error) !== NO_MESSAGE_FOUND) this.#tell(error)
      return 0
    }
  }

  async save({ streamCreated, ackFloor }: Progress): Promise<void> {
    if (ackFloor === this.#saved) return
    try {
      await this.#ensureStream()
      await this.#client.jetstream.publish(this.#subject, JSON.stringify({ streamCreated, ackFloor }))
      this.#saved = ackFloor
    } catch (error) {
      this.#tell(error)
    }
  }

  async #ensureStream(): Promise<void> {
    if (this.#saved > 0) return
    const limits = { max_msgs_per_subject: 1, storage: 'file', discard: 'old' } as const
    await this.#client.manager.streams.add({ name: STREAM, subjects: [`${STREAM}.>`], ...limits })
  }

  #tell(error: unknown): void {
    this.#client.logger.debug({ subject: this.#subject }, `the progress of a consumer is not kept: ${messageOf(error)}`)
  }
}
