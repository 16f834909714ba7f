import type { StoredMsg } from '@nats-io/jetstream'
import { ReplayError, PublishError } from '../domain/errors.ts'
import type { NatsClient } from './connection.ts'
import type { PulledMessage } from './delivery.ts'
import { createProducer, type Producer } from './producer.ts'
import type { Publication, Stored } from './publication.ts'
import { apiErrorCode, isStreamNotFound } from './streams.ts'

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

/** The headers of a dead letter (N-4). Its other headers are those of the original, but for the `Nats-` ones. */
export const DEAD_LETTER_HEADERS = {
  subject: 'Ponix-Original-Subject',
  stream: 'Ponix-Original-Stream',
  sequence: 'Ponix-Original-Sequence',
  /** Milliseconds since the epoch: when JetStream stored it. */
  storedAt: 'Ponix-Original-Stored-At',
  messageId: 'Ponix-Original-Message-Id',
  reason: 'Ponix-Reason',
  attempts: 'Ponix-Attempts',
  service: 'Ponix-Service',
  /** Its size in bytes, present when the body was too large to be kept with these headers. */
  bodyOmitted: 'Ponix-Body-Omitted',
} as const

/**
 * What tells a consumer that a message is one that it, or another, had before, so that what becomes of it twice can be known
 * as the same.
 */
export const REPLAY_HEADERS = {
  /** `{stream}:{sequence}:{stored at}` of the message when it first was in the stream, however often it was replayed. */
  of: 'Ponix-Replay-Of',
  /** The `Nats-Msg-Id` that it had there. */
  messageId: DEAD_LETTER_HEADERS.messageId,
} as const

/** Where a message came from and why it goes. */
export interface DeadLetterContext {
  readonly service: string
  readonly stream: string
  readonly durable: string
}

const MAX_REASON = 1000

/** Stores the message among the dead letters; resolves when JetStream has it durably. */
export async function publishDeadLetter(
  producer: Producer,
  context: DeadLetterContext,
  message: PulledMessage,
  reason: string,
  signal: AbortSignal,
): Promise<void> {
  await publishBodyIfItFits(producer, deadLetterOf(context, message, reason), signal)
}

/** What never came into a stream because it cannot be a message of it. */
export interface Refused {
  readonly service: string
  /** The stream it was meant for: the dead letter is on `dead_letters.{stream}`. */
  readonly stream: string
  /** Where it came from, in the words of its own protocol: an MQTT topic. */
  readonly subject: string
  readonly body: Uint8Array
  readonly messageId: string
  readonly reason: string
}

/** Stores what cannot be a message of its stream among the dead letters; resolves when JetStream has it durably. */
export async function publishRefused(producer: Producer, refused: Refused, signal: AbortSignal): Promise<void> {
  const headers = {
    [DEAD_LETTER_HEADERS.subject]: escapeHeader(refused.subject),
    [DEAD_LETTER_HEADERS.stream]: refused.stream,
    [DEAD_LETTER_HEADERS.reason]: escapeHeader(oneLineOf(refused.reason)),
    [DEAD_LETTER_HEADERS.attempts]: '1',
    [DEAD_LETTER_HEADERS.service]: escapeHeader(refused.service),
  }
  const { stream, body, messageId } = refused
  await publishBodyIfItFits(producer, { subject: `dead_letters.${stream}`, body, messageId, headers }, signal)
}

async function publishBodyIfItFits(producer: Producer, publication: Publication, signal: AbortSignal): Promise<void> {
  try {
    await producer.publish(publication, signal)
  } catch (error) {
    if (!(error instanceof PublishError) || error.code !== 'too_large') throw error
    const headers = { ...publication.headers, [DEAD_LETTER_HEADERS.bodyOmitted]: String(publication.body.length) }
    await producer.publish({ ...publication, headers, body: new Uint8Array() }, signal)
  }
}

function deadLetterOf(context: DeadLetterContext, message: PulledMessage, reason: string): Publication {
  const { stream, durable, service } = context
  const kept = Object.entries(message.headers()).filter(
    ([name]) => !/^(nats|ponix-(original|reason|attempts|service))/i.test(name),
  )
  const messageId = message.header(REPLAY_HEADERS.messageId) ?? message.header('Nats-Msg-Id')
  return {
    subject: `dead_letters.${stream}`,
    body: message.body,
    messageId: `${stream}.${durable}.${message.streamSequence}.${message.storedAtMs}`,
    headers: {
      ...Object.fromEntries(kept),
      [DEAD_LETTER_HEADERS.subject]: escapeHeader(message.subject),
      [DEAD_LETTER_HEADERS.stream]: stream,
      [DEAD_LETTER_HEADERS.sequence]: String(message.streamSequence),
      [DEAD_LETTER_HEADERS.storedAt]: String(message.storedAtMs),
      ...(messageId === undefined ? {} : { [DEAD_LETTER_HEADERS.messageId]: messageId }),
      [DEAD_LETTER_HEADERS.reason]: escapeHeader(oneLineOf(reason)),
      [DEAD_LETTER_HEADERS.attempts]: String(message.attempt),
      [DEAD_LETTER_HEADERS.service]: escapeHeader(service),
    },
  }
}

/**
 * Printable ASCII on one line: other characters, and the backslash, become `\uXXXX`, for a header is not the place where
 * encodings are agreed on. {@link unescapeHeader} undoes it.
 */
function escapeHeader(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]|\\/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function unescapeHeader(text: string): string {
  return text.replaceAll(/\\u([0-9a-f]{4})/g, (_all, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
}

function oneLineOf(reason: string): string {
  const line = reason.replaceAll(/\s+/g, ' ').trim()
  return line.length <= MAX_REASON ? line : `${line.slice(0, MAX_REASON - 3)}...`
}
