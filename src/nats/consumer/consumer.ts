import { setTimeout as sleep } from 'node:timers/promises'
import { StartupError, messageOf } from '../../domain/errors.ts'
import { withSignal } from '../../runner/startup.ts'
import { BatchProcessor } from './batch-processor.ts'
import type { ConsumerOptions } from './consumer-options.ts'
import type { NatsClient } from '../connection.ts'
import { DurableConsumer } from './durable-consumer.ts'
import { PullSource } from './pull-source.ts'
import { isStreamNotFound, restoreStream } from '../streams.ts'
import { timeoutSignal } from '../../runner/timeout-signal.ts'

const ACK_WAIT_MS = 10_000
const OBSERVE_INTERVAL_MS = 10_000
/** Short, because the consumer is also observed when it stops. */
const OBSERVE_TIMEOUT_MS = 1000
const RETRY_DELAY_MS = 200
const RETRY_MAX_DELAY_MS = 5000
const START = 'start'

/**
 * Consumes until the signal aborts; then it finishes and acknowledges the current batch and resolves. It continues after a
 * disconnect of NATS and after the deletion of the stream or the consumer. Instances with the same durable consumer share the load. Rejects with
 * a StartupError when the definition conflicts with the stream or with the existing consumer.
 */
export async function runConsumer(options: ConsumerOptions, signal: AbortSignal): Promise<void> {
  const { client, ackWaitMs = ACK_WAIT_MS, maxAckPending = 4 * options.batchSize } = options
  const complete = { ...options, ackWaitMs, maxAckPending }
  const consumer = new DurableConsumer(client, complete)
  await ensureConsumer(client, consumer, START, signal).catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
  if (signal.aborted) return
  const source = new PullSource(options, {
    received: (message) => consumer.received(message),
    restore: (reason) => ensureConsumer(client, consumer, reason, signal),
  })
  const processor = new BatchProcessor(complete, source, signal)
  const observe = () => observeConsumer(client, consumer, processor)
  const observation = setInterval(() => void observe(), options.observeIntervalMs ?? OBSERVE_INTERVAL_MS)
  void observe()
  try {
    for (;;) {
      const batch = await source.next(signal)
      if (batch.length === 0) break
      await processor.handle(batch)
    }
  } finally {
    clearInterval(observation)
    await source.stop()
    await processor.settled()
    processor.stop()
    if (client.link.connected) await client.connection.flush().catch(() => {})
    await observe()
  }
}

/** Never rejects. */
async function observeConsumer(
  client: NatsClient,
  consumer: DurableConsumer,
  processor: BatchProcessor,
): Promise<void> {
  if (!client.link.connected || client.connection.isDraining()) return
  try {
    await withSignal(timeoutSignal(OBSERVE_TIMEOUT_MS), consumer.observe(processor.oldestHeld))
  } catch (error) {
    client.logger.debug(`cannot read the consumer's lag: ${messageOf(error)}`)
  }
}

/**
 * Retries until the consumer exists, and its stream if this service ensured it. Logs the wait once. At the start it throws errors
 * that an operator must fix; later it retries them too, because it had worked before.
 */
async function ensureConsumer(
  client: NatsClient,
  consumer: DurableConsumer,
  reason: string,
  signal: AbortSignal,
): Promise<void> {
  const { stream, durable } = consumer.definition
  let logged = false
  for (let delayMs = RETRY_DELAY_MS; ; delayMs = Math.min(delayMs * 2, RETRY_MAX_DELAY_MS)) {
    signal.throwIfAborted()
    await client.link.untilConnected(signal)
    try {
      await ensureWithStream(client, consumer)
      if (logged) client.logger.info({ stream, durable }, 'consuming again')
      return
    } catch (error) {
      if (reason === START && error instanceof StartupError) throw error
      const text = `cannot consume (${reason}): ${messageOf(error)}; retrying`
      if (!logged) client.logger.warn({ stream, durable }, text)
      logged = true
    }
    await sleep(delayMs, undefined, { signal })
  }
}

async function ensureWithStream(client: NatsClient, consumer: DurableConsumer): Promise<void> {
  const { stream, durable } = consumer.definition
  try {
    await consumer.ensure()
  } catch (error) {
    if (!isStreamNotFound(error)) throw error
    if (await restoreStream(client, stream)) return await consumer.ensure()
    throw new StartupError(`stream ${stream} does not exist; ${durable} cannot consume it`, { cause: error })
  }
}
