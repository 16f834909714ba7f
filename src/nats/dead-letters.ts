import type { StoredMsg } from '@nats-io/jetstream'
import { apiErrorCode } from './api-errors.ts'
import type { NatsClient } from './connection.ts'
import { DEAD_LETTER_HEADERS, unescapeHeader } from './dead-letter.ts'
import { createProducer } from './producer.ts'
import type { Stored } from './publication.ts'

/** A dead letter as a person looks at it. */
export interface DeadLetter {
  /** Its number among the dead letters: what `showDeadLetter` and `replayDeadLetter` take. */
  readonly sequence: number
  readonly storedAt: Date
  /** Where the message was: subject, stream and sequence there; sequence 0 if it was refused before it got to the stream. */
  readonly subject: string
  readonly stream: string
  readonly streamSequence: number
  readonly reason: string
  readonly attempts: number
  readonly service: string
  /** The body's length in the original. */
  readonly bytes: number
}

/** A dead letter with all there is of the original message. */
export interface DeadLetterDetail extends DeadLetter {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

const STREAM = 'dead_letters'
const NO_MESSAGE_FOUND = 10_037

/** The dead letters, oldest first; of one stream if it is named. Those that arrive meanwhile are included. */
export async function* listDeadLetters(
  client: NatsClient,
  filter: { readonly stream?: string } = {},
): AsyncIterable<DeadLetter> {
  const subject = filter.stream === undefined ? `${STREAM}.>` : `${STREAM}.${filter.stream}`
  for (let from = 1; ;) {
    const message = await find(client, STREAM, { seq: from, next_by_subj: subject })
    if (message === undefined) return
    yield summaryOf(message)
    from = message.seq + 1
  }
}

/** One dead letter with its body, from the original stream if it was too large to be kept here; undefined if there is none. */
export async function showDeadLetter(client: NatsClient, sequence: number): Promise<DeadLetterDetail | undefined> {
  const message = await find(client, STREAM, { seq: sequence })
  if (message === undefined) return undefined
  const summary = summaryOf(message)
  const names = new Set<string>(Object.values(DEAD_LETTER_HEADERS))
  const headers = message.header.keys().filter((name) => !names.has(name) && !name.startsWith('Nats-'))
  const omitted = message.header.has(DEAD_LETTER_HEADERS.bodyOmitted)
  return {
    ...summary,
    headers: Object.fromEntries(headers.map((name) => [name, message.header.get(name)])),
    body: omitted ? await originalBody(client, summary) : message.data,
  }
}

async function originalBody(client: NatsClient, { sequence, stream, streamSequence }: DeadLetter): Promise<Uint8Array> {
  if (streamSequence === 0)
    throw new Error(`the body of dead letter ${sequence} was too large for NATS and is not kept`)
  const original = await find(client, stream, { seq: streamSequence })
  if (original !== undefined) return original.data
  throw new Error(
    `the body of dead letter ${sequence} was kept only as message ${streamSequence} of stream ${stream}, which is gone`,
  )
}

/**
 * Publishes the message anew on its original subject, with its original headers, and deletes the dead letter when JetStream
 * has it; undefined if there is none. Throws a PublishError when no stream takes the subject any more, an Error when it never
 * was in a stream.
 */
export async function replayDeadLetter(client: NatsClient, sequence: number): Promise<Stored | undefined> {
  const letter = await showDeadLetter(client, sequence)
  if (letter === undefined) return undefined
  if (letter.streamSequence === 0) {
    throw new Error(
      `dead letter ${sequence} was refused before it got to ${letter.stream}: there is no subject to replay it on`,
    )
  }
  const producer = createProducer(client)
  try {
    const { subject, body, headers } = letter
    const messageId = `replay.${sequence}.${letter.storedAt.getTime()}`
    const stored = await producer.publish({ subject, body, headers, messageId })
    await client.manager.streams.deleteMessage(STREAM, sequence, false)
    return stored
  } finally {
    producer.close()
  }
}

async function find(
  client: NatsClient,
  stream: string,
  query: { readonly seq: number; readonly next_by_subj?: string },
): Promise<StoredMsg | undefined> {
  try {
    return (await client.manager.streams.getMessage(stream, query)) ?? undefined
  } catch (error) {
    if (apiErrorCode(error) === NO_MESSAGE_FOUND) return undefined
    throw error
  }
}

function summaryOf({ seq, time, header, data, subject }: StoredMsg): DeadLetter {
  const read = (name: string): string => unescapeHeader(header.get(name))
  return {
    sequence: seq,
    storedAt: time,
    subject: read(DEAD_LETTER_HEADERS.subject),
    stream: read(DEAD_LETTER_HEADERS.stream) || subject.slice(STREAM.length + 1),
    streamSequence: Number(read(DEAD_LETTER_HEADERS.sequence)),
    reason: read(DEAD_LETTER_HEADERS.reason),
    attempts: Number(read(DEAD_LETTER_HEADERS.attempts)),
    service: read(DEAD_LETTER_HEADERS.service),
    bytes: Number(header.get(DEAD_LETTER_HEADERS.bodyOmitted)) || data.length,
  }
}
