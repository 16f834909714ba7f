import { oneLine } from '../runner/startup.ts'
import { apiErrorCode } from './api-errors.ts'
import type { NatsClient } from './connection.ts'

/** How far a durable consumer has come. */
export interface Progress {
  /** When the consumer was created: another one of the same name has a way of its own. */
  readonly created: string
  /** Everything up to this stream sequence was acknowledged. */
  readonly ackFloor: number
}

const STREAM = 'consumer_progress'
const NO_MESSAGE_FOUND = 10_037

/**
 * What JetStream says of a durable consumer's progress, kept as a message in a stream: a server that is killed can lose the
 * first (nats-server 2.9 then starts at the beginning again), while messages stay. A little behind at any time, never ahead.
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

  async load(): Promise<Progress | undefined> {
    try {
      const message = await this.#client.manager.streams.getMessage(STREAM, { last_by_subj: this.#subject })
      return message?.json<Progress>()
    } catch (error) {
      if (apiErrorCode(error) !== NO_MESSAGE_FOUND) this.#tell(error)
      return undefined
    }
  }

  async save({ created, ackFloor }: Progress): Promise<void> {
    if (ackFloor === this.#saved) return
    try {
      await this.#ensureStream()
      await this.#client.jetstream.publish(this.#subject, JSON.stringify({ created, ackFloor }))
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
    this.#client.logger.debug({ subject: this.#subject }, `the progress of a consumer is not kept: ${oneLine(error)}`)
  }
}
