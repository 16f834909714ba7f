import { messageOf } from '../domain/errors.ts'
import { apiErrorCode } from './api-errors.ts'
import type { NatsClient } from './connection.ts'

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
