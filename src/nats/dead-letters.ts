import type { StoredMsg } from '@nats-io/jetstream'
import { ReplayError } from '../domain/errors.ts'
import { apiErrorCode, isStreamNotFound } from './api-errors.ts'
import type { NatsClient } from './connection.ts'
import { DEAD_LETTER_HEADERS, REPLAY_HEADERS, unescapeHeader } from './dead-letter.ts'
import { createProducer } from './producer.ts'
import type { Publication, Stored } from './publication.ts'

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
  /** Undefined if it was too large to be kept with the dead letter, and is gone from where it was. */
  readonly body: Uint8Array | undefined
}

/** Which dead letters are meant; all of them, if nothing is said. */
export interface DeadLetterFilter {
  /** The stream where the message was. */
  readonly stream?: string
  /** Those that became dead letters then or later. */
  readonly since?: Date
}

const STREAM = 'dead_letters'
const NO_MESSAGE_FOUND = 10_037

/** The dead letters that there are now, oldest first. Those that come meanwhile, such as one that is replayed and fails again, are not among them. */
export async function* listDeadLetters(
  client: NatsClient,
  filter: DeadLetterFilter = {},
): AsyncGenerator<DeadLetterDetail> {
  const subject = filter.stream === undefined ? `${STREAM}.>` : `${STREAM}.${filter.stream}`
  const newest = await newestSequence(client)
  for (let from = 1; from <= newest;) {
    const message = await find(client, STREAM, { seq: from, next_by_subj: subject })
    if (message === undefined || message.seq > newest) return
    if (filter.since === undefined || message.time >= filter.since) yield await detailOf(client, message)
    from = message.seq + 1
  }
}

/** 0 when there is no stream of dead letters yet. */
async function newestSequence(client: NatsClient): Promise<number> {
  try {
    return (await client.manager.streams.info(STREAM)).state.last_seq
  } catch (error) {
    if (isStreamNotFound(error)) return 0
    throw error
  }
}

/** One dead letter with its body, from the original stream if it was too large to be kept here; undefined if there is none. */
export async function showDeadLetter(client: NatsClient, sequence: number): Promise<DeadLetterDetail | undefined> {
  const message = await find(client, STREAM, { seq: sequence })
  return message === undefined ? undefined : await detailOf(client, message)
}

async function detailOf(client: NatsClient, message: StoredMsg): Promise<DeadLetterDetail> {
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

async function originalBody(
  client: NatsClient,
  { stream, streamSequence }: DeadLetter,
): Promise<Uint8Array | undefined> {
  if (streamSequence === 0) return undefined
  return (await find(client, stream, { seq: streamSequence }))?.data
}

/**
 * Publishes the message anew on its original subject, with its original headers and {@link REPLAY_HEADERS}, and deletes the
 * dead letter when JetStream has it; undefined if there is none. Several who replay the same one store it once. Throws a
 * PublishError when no stream takes the subject any more, a ReplayError when it never was in a stream or its body is
 * gone, and the
 * signal's reason.
 */
export async function replayDeadLetter(
  client: NatsClient,
  sequence: number,
  signal?: AbortSignal,
): Promise<Stored | undefined> {
  const message = await find(client, STREAM, { seq: sequence })
  if (message === undefined) return undefined
  const publication = publicationOf(await detailOf(client, message), message)
  const producer = createProducer(client)
  try {
    const stored = await producer.publish(publication, signal)
    await remove(client, sequence)
    return stored
  } finally {
    producer.close()
  }
}

function publicationOf(letter: DeadLetterDetail, message: StoredMsg): Publication {
  const { sequence, stream, streamSequence, subject, body, headers } = letter
  if (streamSequence === 0) {
    throw new ReplayError(
      `dead letter ${sequence} was refused before it got to ${stream}: there is no subject to replay it on`,
    )
  }
  if (body === undefined) {
    throw new ReplayError(
      `the body of dead letter ${sequence} was kept only as message ${streamSequence} of stream ${stream}, which is gone`,
    )
  }
  const storedAt = message.header.get(DEAD_LETTER_HEADERS.storedAt)
  const messageId = message.header.get(DEAD_LETTER_HEADERS.messageId)
  return {
    subject,
    body,
    messageId: `replay.${sequence}.${letter.storedAt.getTime()}`,
    headers: {
      ...(storedAt === '' ? {} : { [REPLAY_HEADERS.of]: `${stream}:${streamSequence}:${storedAt}` }),
      ...(messageId === '' ? {} : { [REPLAY_HEADERS.messageId]: messageId }),
      ...headers,
    },
  }
}

/** It is no error if somebody else was quicker. */
async function remove(client: NatsClient, sequence: number): Promise<void> {
  try {
    await client.manager.streams.deleteMessage(STREAM, sequence, false)
  } catch (error) {
    if ((await find(client, STREAM, { seq: sequence })) !== undefined) throw error
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
    if (apiErrorCode(error) === NO_MESSAGE_FOUND || isStreamNotFound(error)) return undefined
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
