import type { NatsClient } from './connection.ts'
import { isConsumerNotFound, isMessageNotFound, isStreamNotFound, undefinedIf } from './streams.ts'

/** A durable consumer, by its name, on its stream. */
export interface ConsumerName {
  readonly stream: string
  readonly durable: string
}

/** Returns the highest stream sequence that the consumer has delivered; 0 if it does not exist. */
export async function deliveredUpTo(client: NatsClient, name: ConsumerName): Promise<number> {
  return (await consumerInfo(client, name))?.delivered.stream_seq ?? 0
}

/**
 * Returns whether every message up to a stream sequence is acknowledged; messages that the stream dropped count as acknowledged. False
 * if the consumer does not exist, unless the sequence is 0.
 */
export async function isAcknowledged(client: NatsClient, name: ConsumerName, sequence: number): Promise<boolean> {
  if (sequence === 0) return true
  const info = await consumerInfo(client, name)
  if (info === undefined) return false
  const { ack_floor, delivered, num_ack_pending, num_pending } = info
  if (ack_floor.stream_seq >= sequence) return true
  return num_ack_pending === 0 && (delivered.stream_seq >= sequence || num_pending === 0)
}

/** Returns the sequence of the newest message on a subject; 0 if there is none. */
export async function newestOn({ manager }: NatsClient, stream: string, subject: string): Promise<number> {
  const isAbsent = (error: unknown): boolean => isMessageNotFound(error) || isStreamNotFound(error)
  const message = await undefinedIf(isAbsent, manager.streams.getMessage(stream, { last_by_subj: subject }))
  return message?.seq ?? 0
}

async function consumerInfo({ manager }: NatsClient, { stream, durable }: ConsumerName) {
  const isAbsent = (error: unknown): boolean => isConsumerNotFound(error) || isStreamNotFound(error)
  return await undefinedIf(isAbsent, manager.consumers.info(stream, durable))
}
