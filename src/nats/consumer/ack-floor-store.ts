import { messageOf } from '../../domain/errors.ts'
import type { NatsClient } from '../connection.ts'
import { isMessageNotFound } from '../streams.ts'

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
export class AckFloorStore {
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
