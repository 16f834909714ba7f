import { AckPolicy, DeliverPolicy, type ConsumerInfo, type JsMsg } from '@nats-io/jetstream'
import { nanos, type MsgHdrs } from '@nats-io/nats-core'
import type { NatsClient } from './connection.ts'
import { isMessageNotFound, isStreamNotFound, undefinedIf } from './streams.ts'

export interface NewestMessagesQuery {
  readonly stream: string
  readonly subject: string
  /** The maximum number of messages. */
  readonly count: number
  /** The maximum time between a message and the newest one, in milliseconds. */
  readonly withinMs: number
}

/** JetStream cannot read backwards, so up to this many times the wanted number are read from a point of time on. */
const MAX_READ_FACTOR = 16
/** The time after which JetStream removes a consumer that is not deleted. */
const INACTIVE_MS = 10_000
const READ_TIMEOUT_MS = 5000

/**
 * Returns the headers of the newest messages on a subject, the newest last; the bodies are not transferred. Of a subject with more than
 * 16 times as many messages within the time, it reads those of a quarter of the time, or of a quarter of that, and so on; none if there
 * are as many within a millisecond.
 */
export async function readNewestHeaders(client: NatsClient, query: NewestMessagesQuery): Promise<readonly MsgHdrs[]> {
  const { stream, subject, count } = query
  const isAbsent = (error: unknown): boolean => isMessageNotFound(error) || isStreamNotFound(error)
  const newest = await undefinedIf(isAbsent, client.manager.streams.getMessage(stream, { last_by_subj: subject }))
  if (newest === undefined || newest === null) return []
  for (let { withinMs } = query; withinMs >= 1; withinMs /= 4) {
    const reader = await addReader(client, query, newest.time.getTime() - withinMs)
    try {
      if (reader.num_pending <= count * MAX_READ_FACTOR) return (await read(client, reader)).slice(-count)
    } finally {
      // JetStream removes it itself if this fails.
      void client.manager.consumers.delete(stream, reader.name).catch(() => undefined)
    }
  }
  return []
}

async function addReader(client: NatsClient, query: NewestMessagesQuery, fromMs: number): Promise<ConsumerInfo> {
  return await client.manager.consumers.add(query.stream, {
    filter_subject: query.subject,
    deliver_policy: DeliverPolicy.StartTime,
    opt_start_time: new Date(fromMs).toISOString(),
    headers_only: true,
    ack_policy: AckPolicy.None,
    mem_storage: true,
    inactive_threshold: nanos(INACTIVE_MS),
  })
}

async function read(client: NatsClient, reader: ConsumerInfo): Promise<readonly MsgHdrs[]> {
  const { num_pending: pending, stream_name: stream } = reader
  if (pending === 0) return []
  const consumer = client.jetstream.consumers.getConsumerFromInfo(reader)
  const messages: JsMsg[] = []
  for await (const message of await consumer.fetch({ max_messages: pending, expires: READ_TIMEOUT_MS })) {
    messages.push(message)
    if (message.info.pending === 0) break
  }
  if (messages.at(-1)?.info.pending !== 0)
    throw new Error(`stream ${stream}: ${messages.length} of ${pending} messages`)
  return messages.flatMap(({ headers }) => headers ?? [])
}
