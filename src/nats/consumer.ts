import type { NatsClient } from './connection.ts'

/** A message as a handler sees it. */
export interface Delivery {
  readonly subject: string
  readonly body: Uint8Array
  /** The first value of a header, or undefined. */
  header(name: string): string | undefined
  readonly streamSequence: number
  /** 1 on the first delivery. */
  readonly attempt: number
  /** When JetStream stored it, in milliseconds since the epoch. */
  readonly storedAtMs: number
}

/** The handler's answer for one message. */
export type Verdict =
  | { readonly kind: 'ack' }
  /** Comes again, later each time; after `maxDeliver` attempts it goes to the dead letters with this reason. */
  | { readonly kind: 'retry'; readonly reason: string }
  /** Can never succeed. */
  | { readonly kind: 'dead_letter'; readonly reason: string }

export interface ConsumerOptions {
  readonly client: NatsClient
  /** For the dead letter's headers and the log. */
  readonly service: string
  readonly stream: string
  readonly durable: string
  /** Must lie within the stream's subjects, or starting fails (W-1). */
  readonly filterSubject: string
  /** The handler is called with this many, or with what came within `batchWaitMs` after the first. */
  readonly batchSize: number
  readonly batchWaitMs: number
  /** Default 5. */
  readonly maxDeliver?: number
  /** Default 30,000 ms; extended while the handler works (N-5). */
  readonly ackWaitMs?: number
  /** Default 4 × batchSize. */
  readonly maxAckPending?: number
  /**
   * Answers for each message by its index. If it throws, every message of the batch is retried with the error's message as
   * the reason. The signal aborts only when the time for a graceful stop is over.
   */
  handle(batch: readonly Delivery[], signal: AbortSignal): Promise<readonly Verdict[]>
}

/**
 * Consumes until the signal aborts; then the batch in hand is finished and acknowledged, and it resolves (N-7). Survives NATS
 * being away and the stream or the consumer being deleted (N-6). Instances with the same durable share the load (N-8).
 */
export function runConsumer(_options: ConsumerOptions, _signal: AbortSignal): Promise<void> {
  throw new Error('to be built')
}
