import { setTimeout as sleep } from 'node:timers/promises'
import { StartupError, messageOf } from '../domain/errors.ts'
import { BatchHandling } from './batch-processor.ts'
import type { NatsClient } from './connection.ts'
import type { Delivery, PendingVerdict, Verdict } from './delivery.ts'
import { Durable } from './durable-consumer.ts'
import { PullSource } from './pull-source.ts'
import { isStreamNotFound, restoreStream } from './streams.ts'

export type { Delivery, PendingVerdict, Verdict }

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
  /** Default 10,000 ms, after which others get what a process that died had; extended while the handler works (N-5). */
  readonly ackWaitMs?: number
  /** Default 4 × batchSize. */
  readonly maxAckPending?: number
  /** Before the second attempt; doubled for each further one, up to a minute. Default 1,000 ms. */
  readonly retryDelayMs?: number
  /** How often the server is asked for the consumer's lag. Default 10,000 ms. */
  readonly observeIntervalMs?: number
  /** Messages whose answers are still promises, at which no further batch is handled. Default 1000. */
  readonly maxOpen?: number
  /** How long the batch in hand may take once the consumer is told to stop. Default 8,000 ms. */
  readonly stopTimeoutMs?: number
  /**
   * Answers for each message by its index. If it throws, every message of the batch is retried with the error's message as
   * the reason. An answer that is a promise is waited for on its own, while further batches are handled, as long as there are
   * fewer than `maxOpen` of them. The signal aborts only when the time for a graceful stop is over.
   */
  handle(batch: readonly Delivery[], signal: AbortSignal): Promise<readonly PendingVerdict[]>
}

const ACK_WAIT_MS = 10_000
const OBSERVE_INTERVAL_MS = 10_000
const RESTORE_DELAY_MS = 200
const RESTORE_MAX_DELAY_MS = 5000

/**
 * Consumes until the signal aborts; then the batch in hand is finished and acknowledged, and it resolves (N-7). Survives NATS
 * being away and the stream or the consumer being deleted (N-6). Instances with the same durable share the load (N-8).
 * Rejects with a StartupError when the consumer's definition conflicts with the stream or with the consumer that exists.
 */
export async function runConsumer(options: ConsumerOptions, signal: AbortSignal): Promise<void> {
  const { client, stream, durable, batchSize, batchWaitMs } = options
  const { filterSubject, ackWaitMs = ACK_WAIT_MS, maxAckPending = 4 * batchSize } = options
  const consumer = new Durable(client, { stream, durable, filterSubject, ackWaitMs, maxAckPending })
  if (!(await createAtStart(client, consumer, signal))) return
  const restore = (reason: string): Promise<void> => restoreDurable(client, consumer, reason, signal)
  const source = new PullSource({ client, stream, durable, batchSize, batchWaitMs, restore })
  const handling = new BatchHandling(options, ackWaitMs, source, signal)
  const observation = setInterval(() => observe(client, consumer), options.observeIntervalMs ?? OBSERVE_INTERVAL_MS)
  try {
    for (;;) {
      const batch = await source.next(signal)
      if (batch.length === 0) break
      await handling.handle(batch)
    }
  } finally {
    clearInterval(observation)
    await source.stop()
    await handling.settled()
    handling.stop()
    if (client.link.connected) await client.connection.flush().catch(() => {})
  }
}

/** Says false when the signal aborted first. What a person has to put right is thrown; NATS being away is waited out. */
async function createAtStart(client: NatsClient, consumer: Durable, signal: AbortSignal): Promise<boolean> {
  const { stream, durable } = consumer.definition
  while (!signal.aborted) {
    try {
      await client.link.untilConnected(signal)
      await consumer.ensure()
      return true
    } catch (error) {
      if (isStreamNotFound(error)) {
        if (await restoreStream(client, stream)) continue
        throw new StartupError(`stream ${stream} does not exist, so ${durable} cannot consume it`)
      }
      if (client.link.connected) throw error
    }
  }
  return false
}

function observe(client: NatsClient, consumer: Durable): void {
  if (!client.link.connected || client.connection.isDraining()) return
  consumer.observe().catch((error: unknown) => client.logger.debug(`cannot ask for the lag: ${messageOf(error)}`))
}

/** Until the consumer is there again, and with it its stream if this service ensured it. Tells of it once. */
async function restoreDurable(
  client: NatsClient,
  consumer: Durable,
  reason: string,
  signal: AbortSignal,
): Promise<void> {
  const { stream, durable } = consumer.definition
  let told = false
  for (let delayMs = RESTORE_DELAY_MS; ; delayMs = Math.min(delayMs * 2, RESTORE_MAX_DELAY_MS)) {
    signal.throwIfAborted()
    await client.link.untilConnected(signal)
    try {
      await consumer.ensure()
      if (told) client.logger.info({ stream, durable }, 'consuming again')
      return
    } catch (error) {
      if (isStreamNotFound(error)) await restoreStream(client, stream).catch(() => false)
      if (!told)
        client.logger.warn({ stream, durable }, `cannot consume (${reason}): ${messageOf(error)}; waiting for it`)
      told = true
    }
    await sleep(delayMs, undefined, { signal })
  }
}
