import type { NatsClient } from './connection.ts'

export interface Publication {
  readonly subject: string
  readonly body: Uint8Array
  /** `Nats-Msg-Id`: a second message with the same id within the stream's duplicate window is not stored again. */
  readonly messageId: string
  readonly headers?: Readonly<Record<string, string>>
}

/** Where JetStream stored the message. `duplicate`: it was there already, under the same message id. */
export interface Stored {
  readonly stream: string
  readonly sequence: number
  readonly duplicate: boolean
}

/**
 * Publishes with many messages in flight. `publish` resolves when JetStream has the message durably; it waits for a place in
 * the window first, which is the back-pressure. While NATS is away it keeps trying until the signal aborts (N-6); it rejects
 * with a PublishError for what can never succeed (no stream takes the subject, message too large).
 */
export interface Producer {
  publish(publication: Publication, signal?: AbortSignal): Promise<Stored>
}

export function createProducer(_client: NatsClient, _options?: { readonly maxInFlight?: number }): Producer {
  throw new Error('to be built')
}

/** The id itself when it can be one token of a subject; otherwise throws: `.`, `*`, `>`, white space, control characters, empty. */
export function subjectToken(_id: string): string {
  throw new Error('to be built')
}
