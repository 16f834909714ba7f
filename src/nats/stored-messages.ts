import type { StoredMsg } from '@nats-io/jetstream'
import type { NatsClient } from './connection.ts'
import { isMessageNotFound, isStreamNotFound, undefinedIf } from './streams.ts'

/** A sequence; with `next_by_subj` the first message on a subject from this sequence on. */
interface MessageQuery {
  readonly seq: number
  readonly next_by_subj?: string
}

/** Reads a message of a stream; returns undefined if it does not exist. */
export async function findMessage(
  client: NatsClient,
  stream: string,
  query: MessageQuery,
): Promise<StoredMsg | undefined> {
  const isAbsent = (error: unknown): boolean => isMessageNotFound(error) || isStreamNotFound(error)
  return (await undefinedIf(isAbsent, client.manager.streams.getMessage(stream, query))) ?? undefined
}

/** Deletes a message of a stream; it is not an error if it does not exist. */
export async function deleteMessage(client: NatsClient, stream: string, sequence: number): Promise<void> {
  try {
    await client.manager.streams.deleteMessage(stream, sequence, false)
  } catch (error) {
    if ((await findMessage(client, stream, { seq: sequence })) !== undefined) throw error
  }
}
