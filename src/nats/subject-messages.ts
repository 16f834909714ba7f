import { AckPolicy, DeliverPolicy } from '@nats-io/jetstream'
import { nanos } from '@nats-io/nats-core'
import type { NatsClient } from './connection.ts'
import { infoOf, NANOS_PER_MS } from './streams.ts'

/** A message as its stream holds it. */
export interface HeldMessage {
  readonly streamSequence: number
  readonly body: Uint8Array
  /** In milliseconds since the epoch. */
  readonly storedAtMs: number
  readonly header: (name: string) => string | undefined
}

/** Bounds the memory: messages have at most `max_payload` bytes. */
const BATCH = 64
/** The time after which JetStream removes a reader that is not deleted. */
const INACTIVE_MS = 60_000
const READ_TIMEOUT_MS = 5000

/** Yields the messages of a subject that the stream holds now, oldest first; none if the stream does not exist. */
export async function* messagesOf(client: NatsClient, stream: string, subject: string): AsyncGenerator<HeldMessage> {
  if ((await infoOf(client, stream)) === undefined) return
  const { name, num_pending } = await client.manager.consumers.add(stream, {
    filter_subject: subject,
    deliver_policy: DeliverPolicy.All,
    ack_policy: AckPolicy.None,
    mem_storage: true,
    inactive_threshold: nanos(INACTIVE_MS),
  })
  try {
    const consumer = await client.jetstream.consumers.get(stream, name)
    for (let left = num_pending; left > 0;) {
      let pending: number | undefined
      const batch = await consumer.fetch({ max_messages: Math.min(left, BATCH), expires: READ_TIMEOUT_MS })
      for await (const message of batch) {
        pending = message.info.pending
        left -= 1
        const { headers, data: body, seq: streamSequence } = message
        const storedAtMs = Math.floor(message.info.timestampNanos / NANOS_PER_MS)
        const header = (header: string): string | undefined => headers?.get(header) || undefined
        yield { streamSequence, body, storedAtMs, header }
      }
      if (pending === undefined)
        throw new Error(`stream ${stream}: NATS did not deliver ${left} messages of ${subject}`)
      // Messages can be deleted meanwhile.
      left = Math.min(left, pending)
    }
  } finally {
    // JetStream removes it itself if this fails.
    await client.manager.consumers.delete(stream, name).catch(() => undefined)
  }
}

/** Deletes all messages of a subject. */
export async function purgeSubject(client: NatsClient, stream: string, subject: string): Promise<void> {
  if ((await infoOf(client, stream)) === undefined) return
  await client.manager.streams.purge(stream, { filter: subject })
}
