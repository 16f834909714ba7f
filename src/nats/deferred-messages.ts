import type { StoredMsg } from '@nats-io/jetstream'
import { headers as createHeaders } from '@nats-io/nats-core'
import { PublishError, messageOf } from '../domain/errors.ts'
import type { NatsClient } from './connection.ts'
import { headersOfCopy } from './dead-letters.ts'
import type { Delivery } from './delivery.ts'
import { deleteMessage, findMessage } from './stored-messages.ts'
import { isLimit } from './streams.ts'

/** The number of messages that a scan reads at the same time. */
const SCAN_WIDTH = 16

/**
 * Messages that wait in a work queue: copies of messages of another stream, which can therefore be acknowledged. A message leaves
 * the stream when the durable consumer of the queue acknowledges it, or when a scan removes it earlier.
 */
export class DeferredMessages {
  readonly #client: NatsClient
  readonly #stream: string

  constructor(client: NatsClient, stream: string) {
    this.#client = client
    this.#stream = stream
  }

  /**
   * Stores a copy of a message of `stream` on the subject. Throws a PublishError with the code `refused` if a limit of the queue
   * rejects it, and any other error if it may not be stored but can be later.
   */
  async add(subject: string, message: Delivery, stream: string): Promise<void> {
    const { streamSequence, storedAtMs, body } = message
    const headers = createHeaders()
    for (const [name, value] of Object.entries(headersOfCopy(message, stream))) headers.set(name, value)
    // Not the id of the origin: a replayed message has the same origin as its first copy.
    const msgID = `${stream}:${streamSequence}:${storedAtMs}`
    try {
      await this.#client.jetstream.publish(subject, body, { msgID, headers })
    } catch (error) {
      if (!isLimit(error)) throw error
      throw new PublishError('refused', `stream ${this.#stream}: ${messageOf(error)}`, { cause: error })
    }
  }

  /** Returns whether a message is still in the queue. */
  async has(sequence: number): Promise<boolean> {
    return (await findMessage(this.#client, this.#stream, { seq: sequence })) !== undefined
  }

  /** Calls `visit` for the messages of a subject, several at a time, and removes those for which it resolves to true. */
  async scan(subject: string, visit: (message: Delivery) => Promise<boolean>, signal: AbortSignal): Promise<void> {
    const first = await findMessage(this.#client, this.#stream, { seq: 1, next_by_subj: subject })
    if (first === undefined) return
    const { last_seq: last } = (await this.#client.manager.streams.info(this.#stream)).state
    const width = Math.ceil((last + 1 - first.seq) / SCAN_WIDTH)
    const scanRange = async (from: number): Promise<void> => {
      for (let next = from; next < from + width && next <= last && !signal.aborted;) {
        const message = await findMessage(this.#client, this.#stream, { seq: next, next_by_subj: subject })
        if (message === undefined || message.seq >= from + width || message.seq > last) return
        if (await visit(deliveryOf(message))) await deleteMessage(this.#client, this.#stream, message.seq)
        next = message.seq + 1
      }
    }
    await Promise.all(Array.from({ length: SCAN_WIDTH }, (_, index) => scanRange(first.seq + index * width)))
  }
}

function deliveryOf(message: StoredMsg): Delivery {
  const { header, seq: streamSequence, subject, data: body } = message
  return {
    subject,
    body,
    header: (name) => (header.has(name) ? header.get(name) : undefined),
    headers: () => Object.fromEntries(header.keys().map((name) => [name, header.get(name)])),
    streamSequence,
    attempt: 1,
    storedAtMs: message.time.getTime(),
  }
}
