import { setTimeout as sleep } from 'node:timers/promises'
import { StartupError, messageOf } from '../domain/errors.ts'
import { BatchProcessor, type ConsumerOptions } from './batch-processor.ts'
import type { NatsClient } from './connection.ts'
import { DurableConsumer } from './durable-consumer.ts'
import { PullSource } from './pull-source.ts'
import { isStreamNotFound, restoreStream } from './streams.ts'

const ACK_WAIT_MS = 10_000
const OBSERVE_INTERVAL_MS = 10_000
const RESTORE_DELAY_MS = 200
const RESTORE_MAX_DELAY_MS = 5000

/**
 * Consumes until the signal aborts; then it finishes and acknowledges the current batch and resolves. It continues after a
 * disconnect of NATS and after the deletion of the stream or the consumer. Instances with the same durable consumer share the load. Rejects with
 * a StartupError when the definition conflicts with the stream or with the existing consumer.
 */
export async function runConsumer(options: ConsumerOptions, signal: AbortSignal): Promise<void> {
  const { client, ackWaitMs = ACK_WAIT_MS, maxAckPending = 4 * options.batchSize } = options
  const consumer = new DurableConsumer(client, { ...options, ackWaitMs, maxAckPending })
  if (!(await createAtStart(client, consumer, signal))) return
  const source = new PullSource(options, (reason) => restoreConsumer(client, consumer, reason, signal))
  const processor = new BatchProcessor(options, ackWaitMs, source, signal)
  const observation = setInterval(() => observe(client, consumer), options.observeIntervalMs ?? OBSERVE_INTERVAL_MS)
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
  }
}

/** Creates the consumer; returns false if the signal aborted first. Waits for NATS; throws errors that an operator must fix. */
async function createAtStart(client: NatsClient, consumer: DurableConsumer, signal: AbortSignal): Promise<boolean> {
  const { stream, durable } = consumer.definition
  while (!signal.aborted) {
    try {
      await client.link.untilConnected(signal)
      await consumer.ensure()
      return true
    } catch (error) {
      if (isStreamNotFound(error)) {
        if (await restoreStream(client, stream)) continue
        throw new StartupError(`stream ${stream} does not exist; ${durable} cannot consume it`)
      }
      if (client.link.connected) throw error
    }
  }
  return false
}

function observe(client: NatsClient, consumer: DurableConsumer): void {
  if (!client.link.connected || client.connection.isDraining()) return
  consumer
    .observe()
    .catch((error: unknown) => client.logger.debug(`cannot read the consumer's lag: ${messageOf(error)}`))
}

/** Retries until the consumer exists again, and its stream if this service ensured it. Logs once. */
async function restoreConsumer(
  client: NatsClient,
  consumer: DurableConsumer,
  reason: string,
  signal: AbortSignal,
): Promise<void> {
  const { stream, durable } = consumer.definition
  let logged = false
  for (let delayMs = RESTORE_DELAY_MS; ; delayMs = Math.min(delayMs * 2, RESTORE_MAX_DELAY_MS)) {
    signal.throwIfAborted()
    await client.link.untilConnected(signal)
    try {
      await consumer.ensure()
      if (logged) client.logger.info({ stream, durable }, 'consuming again')
      return
    } catch (error) {
      if (isStreamNotFound(error)) await restoreStream(client, stream).catch(() => false)
      const text = `cannot consume (${reason}): ${messageOf(error)}; retrying`
      if (!logged) client.logger.warn({ stream, durable }, text)
      logged = true
    }
    await sleep(delayMs, undefined, { signal })
  }
}
