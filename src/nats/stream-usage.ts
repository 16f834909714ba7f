import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../domain/errors.ts'
import type { NatsClient } from './connection.ts'
import { LimitWatch } from './limit-watch.ts'
import { natsMetrics } from './metrics.ts'
import { ageOf, ensuredStreams, NANOS_PER_MS } from './streams.ts'

const INTERVAL_MS = 10_000

/**
 * Exports size and age of the streams that this client ensured, against their limits, until the signal aborts. Warns when a stream
 * has used 80 % of its bytes, because a full stream rejects new messages.
 */
export async function observeStreams(
  client: NatsClient,
  signal: AbortSignal,
  intervalMs: number = INTERVAL_MS,
): Promise<void> {
  const watches = new Map<string, LimitWatch>()
  while (!signal.aborted) {
    for (const stream of client.link.connected ? ensuredStreams(client) : []) {
      const watch = watches.get(stream) ?? new LimitWatch()
      watches.set(stream, watch)
      await observeStream(client, stream, watch).catch((error: unknown) =>
        client.logger.debug({ stream }, `cannot read the size of the stream: ${messageOf(error)}`),
      )
    }
    await sleep(intervalMs, undefined, { signal }).catch(() => {})
  }
}

async function observeStream(client: NatsClient, stream: string, watch: LimitWatch): Promise<void> {
  const info = await client.manager.streams.info(stream)
  const { messages, bytes, first_ts } = info.state
  const { max_age, max_bytes, discard, subjects } = info.config
  natsMetrics.streamInfo.set({ stream, subjects: subjects.join(' ') }, 1)
  natsMetrics.streamMessages.set({ stream }, messages)
  natsMetrics.streamBytes.set({ stream }, bytes)
  natsMetrics.streamAgeSeconds.set({ stream }, messages === 0 ? 0 : ageOf(info, Date.parse(first_ts)) / 1000)
  // Without a limit there is no series, so that a ratio of both has none either.
  if (max_age > 0) natsMetrics.streamAgeLimitSeconds.set({ stream }, max_age / NANOS_PER_MS / 1000)
  else natsMetrics.streamAgeLimitSeconds.remove({ stream })
  if (max_bytes > 0) natsMetrics.streamBytesLimit.set({ stream }, max_bytes)
  else natsMetrics.streamBytesLimit.remove({ stream })
  if (max_bytes <= 0 || !watch.reaches(bytes / max_bytes)) return
  const outcome = discard === 'new' ? 'it rejects new messages' : 'it drops its oldest messages, read or not'
  client.logger.warn(
    { stream, bytes, max_bytes },
    `the stream has used ${Math.round((100 * bytes) / max_bytes)} % of its bytes; when it is full, ${outcome}; raise the limit with nats stream edit --max-bytes`,
  )
}
