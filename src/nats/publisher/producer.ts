import type { NatsClient } from '../connection.ts'
import type { Publication, Stored } from './publication.ts'
import { PublishWindow, type WindowOptions } from './publish-window.ts'
import { streamFinder } from '../streams.ts'

/**
 * Publishes with many messages in flight. `publish` waits for a place in the window, which is the back-pressure, and resolves
 * when JetStream has stored the message durably. While NATS is disconnected or the stream is full it retries until the signal
 * aborts. It rejects with a PublishError for a message that can never be stored; the other messages continue.
 */
export interface Producer {
  publish(publication: Publication, signal?: AbortSignal): Promise<Stored>
  /** Rejects every message that is not stored; the connection stays open. */
  close(): void
}

type ProducerOptions = Partial<Omit<WindowOptions, 'ordered'>>

/**
 * Creates a producer; `maxInFlight` is 256 by default and, like `maxInFlightBytes`, the limit per stream. A stream that is full or
 * slow delays only its own messages. The streams that the client has not ensured count as one.
 */
export function createProducer(client: NatsClient, options: ProducerOptions = {}): Producer {
  return new StreamWindows(client, options)
}

/** One window per stream. */
class StreamWindows implements Producer {
  readonly #streamOf: (subject: string) => string
  readonly #open: () => PublishWindow
  readonly #windows = new Map<string, PublishWindow>()
  #closed = false

  constructor(client: NatsClient, options: ProducerOptions) {
    this.#streamOf = streamFinder(client)
    this.#open = () => new PublishWindow(client, { maxInFlight: 256, ...options, ordered: false })
  }

  publish(publication: Publication, signal?: AbortSignal): Promise<Stored> {
    return this.#windowOf(publication.subject).publish(publication, signal)
  }

  close(): void {
    this.#closed = true
    for (const window of this.#windows.values()) window.close()
  }

  #windowOf(subject: string): PublishWindow {
    const stream = this.#streamOf(subject)
    let window = this.#windows.get(stream)
    if (window === undefined) {
      window = this.#open()
      if (this.#closed) window.close()
      this.#windows.set(stream, window)
    }
    return window
  }
}

/**
 * Stores messages in the order of the calls, with many in flight. While NATS is disconnected or a stream is full it waits and
 * keeps the order. If a message can never be stored, its promise rejects with a PublishError, and so do the promises of all
 * later messages (code `superseded`); none of them is stored in the same stream. Earlier messages continue. Then close the publisher
 * and create a new one.
 *
 * JetStream enforces the order: of the messages in flight to one stream, each is stored only directly after its predecessor.
 * Messages of other publishers in between cause resends, so order is kept but throughput drops. Streams are distinguished by
 * the streams that the client ensured before the publisher was created.
 */
export interface OrderedPublisher {
  /** Publishes; resolves when the message is stored durably. Every promise must be handled. */
  publish(publication: Publication): Promise<Stored>
  /** Number of messages sent and not acknowledged: the measure for back-pressure, in addition to the caller's queue. */
  readonly inFlight: number
  /** Resolves when no message is in flight or queued, whether stored or rejected. */
  flush(): Promise<void>
  /** Rejects every message that is not stored (code `closed`); call `flush` first for a graceful end. */
  close(): void
}

/** Creates an ordered publisher; `maxInFlight` is 500 by default. */
export function createOrderedPublisher(client: NatsClient, options: ProducerOptions = {}): OrderedPublisher {
  return new PublishWindow(client, { maxInFlight: 500, ...options, ordered: true })
}
