import { PublishError } from '../domain/errors.ts'
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
 * The id itself when it can be one token of a subject; otherwise throws a PublishError: `.`, `*`, `>`, white space, control
 * characters, empty (N-2).
 */
export function subjectToken(id: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (id !== '' && !/[\s\u0000-\u001f\u007f.*>]/u.test(id)) return id
  throw new PublishError(
    'invalid',
    `${JSON.stringify(id)} cannot be part of a subject: expected an id without white space, ".", "*" and ">"`,
  )
}
