import type { NatsClient } from '../connection.ts'
import type { DeadLetterQuota } from '../dead-letter-quota.ts'
import type { MessageResult, PulledDelivery } from '../delivery.ts'

export interface ConsumerOptions {
  readonly client: NatsClient
  readonly service: string
  readonly stream: string
  readonly durable: string
  /**
   * True: messages with the same message id are copies of one message, stored longer after each other than the duplicate window of
   * the stream, and have one dead letter. Default false: each message has a dead letter of its own.
   */
  readonly hasUniqueIds?: boolean
  /**
   * Present: the consumer belongs to this process. It starts after this sequence of the stream, its progress is not stored, and the
   * server deletes it when it was not used for five minutes.
   */
  readonly startAfter?: number | undefined
  /** The filter; must be within the stream's subjects, otherwise the start fails. */
  readonly filterSubject: string
  /** The handler is called with this many messages, or with the messages that arrive within `batchWaitMs` after the first. */
  readonly batchSize: number
  /** The number of messages that are pulled ahead; more hides the time that a busy server takes to answer. Default `batchSize`. */
  readonly prefetch?: number
  /** Maximum bytes of a batch, and of the messages that are pulled ahead; a larger message is a batch of its own. Default 8 MiB. */
  readonly batchBytes?: number
  readonly batchWaitMs: number
  /**
   * Returns the time in ms that a message has already waited elsewhere, for the first of each batch. The batch waits that much
   * shorter, but at least a quarter of `batchWaitMs`, so that a delay before the stream is not followed by the whole wait.
   */
  readonly waitedMs?: (message: PulledDelivery) => number
  /** Default 5. */
  readonly maxDeliver?: number
  /** Time after which another instance receives the messages of a crashed instance; extended during handling. Default 10,000 ms. */
  readonly ackWaitMs?: number
  /** Default 4 × batchSize. At most half of them wait for their dead letters. */
  readonly maxAckPending?: number
  /** Delay before the second attempt; doubled for each further attempt, up to a minute. Default 1,000 ms. */
  readonly retryDelayMs?: number
  /** Interval at which the consumer's lag is read from the server. Default 10,000 ms. */
  readonly observeIntervalMs?: number
  /** Maximum number of messages whose results are still pending promises; at the limit no further batch starts. Default 1000. */
  readonly maxOpen?: number
  /** Maximum bytes of these messages. Default 64 MiB. */
  readonly maxOpenBytes?: number
  /** Absent: all dead letters are stored. */
  readonly deadLetterQuota?: DeadLetterQuota
  /** Time limit for the current batch after the consumer is stopped. Default 8,000 ms. */
  readonly stopTimeoutMs?: number
  /**
   * Returns the result of each message by its index. If it throws, every message of the batch is retried with the error's
   * message as the reason. A result that is a promise is awaited separately while further batches are handled, as long as fewer
   * than `maxOpen` and `maxOpenBytes` are pending. The signal aborts only when the time for a graceful stop has passed.
   */
  handle(
    batch: readonly PulledDelivery[],
    signal: AbortSignal,
  ): Promise<readonly (MessageResult | Promise<MessageResult>)[]>
}
