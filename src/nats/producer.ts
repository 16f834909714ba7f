import type { NatsClient } from './connection.ts'
import type { Publication, Stored } from './publication.ts'
import { PublishWindow } from './publish-window.ts'

export type { Publication, Stored }

/**
 * Publishes with many messages in flight. `publish` resolves when JetStream has the message durably; it waits for a place in
 * the window first, which is the back-pressure. While NATS is away, or the stream full, it keeps trying until the signal
 * aborts (N-6); it rejects with a PublishError for what can never succeed (no stream takes the subject, message too large),
 * and the other messages go on.
 */
export interface Producer {
  publish(publication: Publication, signal?: AbortSignal): Promise<Stored>
}

/** A producer that ends before its connection does. */
export interface ClosableProducer extends Producer {
  /** Rejects what is not stored yet. */
  close(): void
}

/** `maxInFlight` is 256 by default. One producer's messages share a window: a full stream holds up the others' too. */
export function createProducer(
  client: NatsClient,
  options: { readonly maxInFlight?: number; readonly ackTimeoutMs?: number } = {},
): ClosableProducer {
  const window = new PublishWindow(client, {
    maxInFlight: options.maxInFlight ?? 256,
    maxInFlightBytes: 16 * 1024 * 1024,
    ackTimeoutMs: options.ackTimeoutMs ?? 5000,
    ordered: false,
  })
  return { publish: (publication, signal) => window.publish(publication, signal), close: () => window.close() }
}

/**
 * Stores messages in the order of the calls, many in flight. While NATS is away or a stream is full it waits and keeps the
 * order. If a message can never be stored, its promise rejects with that PublishError, and so do those of all later messages
 * (code `superseded`); none of them is stored in the same stream. Earlier ones go on. Then close it and make a new publisher.
 *
 * The order is JetStream's own work: of the messages in flight to one stream each one is stored only right behind the one
 * before it. Where others publish to the same stream it stays right and gets slower, for what they come between is sent again.
 * Streams are told apart by what the client has ensured before the publisher was made.
 */
export interface OrderedPublisher {
  /** Resolves when the message is stored durably. Every promise has to be handled. */
  publish(publication: Publication): Promise<Stored>
  /** Sent and not yet acknowledged: the measure for back-pressure, together with what the caller knows to wait. */
  readonly inFlight: number
  /** Resolves when nothing is in flight or waiting, be it stored or rejected. */
  flush(): Promise<void>
  /** Rejects what is not stored (code `closed`); call `flush` first for a graceful end. */
  close(): Promise<void>
}

export interface OrderedPublisherOptions {
  /** Messages in flight at most. Default 500. */
  readonly window?: number
  /** Bytes in flight at most. Default 16 MiB. */
  readonly windowBytes?: number
  /** Default 5,000 ms. */
  readonly ackTimeoutMs?: number
}

export function createOrderedPublisher(client: NatsClient, options: OrderedPublisherOptions = {}): OrderedPublisher {
  const { window = 500, windowBytes = 16 * 1024 * 1024, ackTimeoutMs = 5000 } = options
  const publisher = new PublishWindow(client, {
    maxInFlight: window,
    maxInFlightBytes: windowBytes,
    ackTimeoutMs,
    ordered: true,
  })
  return {
    publish: (publication) => publisher.publish(publication),
    get inFlight() {
      return publisher.inFlight
    },
    flush: () => publisher.flush(),
    async close() {
      publisher.close()
    },
  }
}
