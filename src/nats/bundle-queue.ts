import { createHash } from 'node:crypto'
import { AckPolicy, type Consumer, type JsMsg } from '@nats-io/jetstream'
import { PublishError, messageOf } from '../domain/errors.ts'
import type { NatsClient } from './connection.ts'
import { type Delivery, type EncodedDelivery, Headers } from './delivery.ts'
import { subjectToken } from './publisher/publication.ts'
import { deleteMessage, findMessage } from './stored-messages.ts'
import { infoOf, isLimit, NANOS_PER_MS } from './streams.ts'

/** The parts of a message that a bundle contains. */
type BundledMessage = Pick<EncodedDelivery, 'subject' | 'body' | 'streamSequence' | 'storedAtMs' | 'headerBlock'>

export interface BundleQueueOptions {
  readonly stream: string
  /** The subjects are `{prefix}.{owner}`. */
  readonly prefix: string
  encode(messages: readonly BundledMessage[]): Uint8Array
  /** Throws for invalid bytes. */
  decode(bundle: Uint8Array): readonly BundledMessage[]
}

/** A bundle taken from the queue. Another instance receives it if it is neither removed nor kept within `ACK_WAIT_MS`. */
export interface TakenBundle {
  readonly messages: readonly Delivery[]
  /** 1 on the first delivery. */
  readonly attempt: number
  /** Removes the bundle; resolves when JetStream has done so. */
  remove(): Promise<void>
  /** Returns the bundle to the queue; it is delivered again after the delay. */
  putBack(delayMs: number): void
  /** Extends the time by ACK_WAIT_MS. */
  keep(): void
}

export const ACK_WAIT_MS = 30_000
/** The time that `take` waits for a bundle: the minimum of the client. */
const TAKE_WAIT_MS = 1000
/** The time after which JetStream removes the consumer of an owner without bundles. */
const INACTIVE_MS = 60_000

/**
 * Bundles of messages that wait in a stream with work-queue retention, with one subject and one consumer per owner. The owners' bundles
 * are independent, and instances share them.
 */
export class BundleQueue {
  readonly #client: NatsClient
  readonly #options: BundleQueueOptions

  constructor(client: NatsClient, options: BundleQueueOptions) {
    this.#client = client
    this.#options = options
  }

  /**
   * Stores a bundle. Throws a PublishError with the code `refused` if a limit of the stream rejects it, or `invalid` if the owner cannot
   * be part of a subject, and any other error if the bundle may not be stored but can be later.
   */
  async add(owner: string, messages: readonly BundledMessage[]): Promise<void> {
    const subject = this.#subjectOf(subjectToken(owner))
    try {
      await this.#client.jetstream.publish(subject, this.#options.encode(messages))
    } catch (error) {
      if (!isLimit(error)) throw error
      throw new PublishError('refused', `stream ${this.#options.stream}: ${messageOf(error)}`, { cause: error })
    }
  }

  /** Returns the owners of all bundles. */
  async owners(): Promise<readonly string[]> {
    const { stream, prefix } = this.#options
    const { state } = await this.#client.manager.streams.info(stream, { subjects_filter: this.#subjectOf('*') })
    return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(prefix.length + 1))
  }

  /** Returns the oldest bundle of an owner that is not taken; undefined if none arrives within a second. */
  async take(owner: string): Promise<TakenBundle | undefined> {
    const consumer = await this.#consumerOf(owner)
    const message = await consumer.next({ expires: TAKE_WAIT_MS })
    return message === null ? undefined : takenBundle(message, this.#options.decode(message.data).map(deliveryOf))
  }

  /**
   * Removes messages from the bundles that exist now, whether or not they are taken: `isRemoved` selects them. A bundle with other messages
   * is stored again without the removed ones before it is deleted, so a crash in between leaves the others twice, with the same positions.
   * Rejects as `add` does.
   */
  async removeMessages(isRemoved: (message: BundledMessage) => boolean): Promise<void> {
    const { stream, prefix } = this.#options
    for await (const { sequence, subject, body } of this.#bundles()) {
      const messages = this.#options.decode(body)
      const kept = messages.filter((message) => !isRemoved(message))
      if (kept.length === messages.length) continue
      if (kept.length > 0) await this.add(subject.slice(prefix.length + 1), kept)
      await deleteMessage(this.#client, stream, sequence)
    }
  }

  /** Yields the messages of all bundles that exist now. */
  async *messages(): AsyncGenerator<BundledMessage> {
    for await (const { body } of this.#bundles()) yield* this.#options.decode(body)
  }

  async *#bundles(): AsyncGenerator<{ sequence: number; subject: string; body: Uint8Array }> {
    const { stream } = this.#options
    const newest = (await infoOf(this.#client, stream))?.state.last_seq ?? 0
    for (let next = 1; next <= newest;) {
      const found = await findMessage(this.#client, stream, { seq: next, next_by_subj: this.#subjectOf('*') })
      if (found === undefined || found.seq > newest) return
      yield { sequence: found.seq, subject: found.subject, body: found.data }
      next = found.seq + 1
    }
  }

  async #consumerOf(owner: string): Promise<Consumer> {
    const { stream, prefix } = this.#options
    const name = bundleConsumer(prefix, owner)
    const { consumers } = this.#client.jetstream
    await this.#client.manager.consumers.add(stream, {
      durable_name: name,
      filter_subject: this.#subjectOf(owner),
      ack_policy: AckPolicy.Explicit,
      ack_wait: ACK_WAIT_MS * NANOS_PER_MS,
      inactive_threshold: INACTIVE_MS * NANOS_PER_MS,
    })
    return await consumers.get(stream, name)
  }

  #subjectOf(owner: string): string {
    return `${this.#options.prefix}.${owner}`
  }
}

/** Returns the name of the durable consumer of an owner's bundles. A name allows fewer characters than a subject. */
export function bundleConsumer(prefix: string, owner: string): string {
  return `${prefix}-${createHash('sha256').update(owner).digest('hex').slice(0, 32)}`
}

/** Returns a message as its stream had delivered it the first time. */
function deliveryOf({ subject, body, streamSequence, storedAtMs, headerBlock }: BundledMessage): Delivery {
  const headers = new Headers(headerBlock)
  const common = { subject, body, streamSequence, storedAtMs, attempt: 1 }
  return { ...common, header: (name) => headers.get(name), headers: () => headers.all() }
}

function takenBundle(message: JsMsg, messages: readonly Delivery[]): TakenBundle {
  return {
    messages,
    attempt: message.info.deliveryCount,
    remove: async () => {
      await message.ackAck()
    },
    putBack: (delayMs) => message.nak(delayMs),
    keep: () => message.working(),
  }
}
