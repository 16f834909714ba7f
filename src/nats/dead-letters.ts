import type { StoredMsg } from '@nats-io/jetstream'
import { PublishError, ReplayError, messageOf } from '../domain/errors.ts'
import type { NatsClient } from './connection.ts'
import type { ConsumerOptions } from './consumer/consumer-options.ts'
import type { Delivery } from './delivery.ts'
import { natsMetrics } from './metrics.ts'
import { createProducer, type Producer } from './publisher/producer.ts'
import type { Publication, Stored } from './publisher/publication.ts'
import { deleteMessage, findMessage } from './stored-messages.ts'
import { infoOf } from './streams.ts'

/** The headers of a dead letter. It also keeps the headers of the original message, except those that begin with `Nats-`. */
export const DEAD_LETTER_HEADERS = {
  subject: 'Ponix-Original-Subject',
  stream: 'Ponix-Original-Stream',
  sequence: 'Ponix-Original-Sequence',
  /** The time when JetStream stored the message, in milliseconds since the epoch. */
  storedAt: 'Ponix-Original-Stored-At',
  messageId: 'Ponix-Original-Message-Id',
  reason: 'Ponix-Reason',
  attempts: 'Ponix-Attempts',
  service: 'Ponix-Service',
  /** The id of an unknown device in its network server; the body is an envelope with this id. */
  externalId: 'Ponix-External-Id',
  /** Body size in bytes; present when the body was too large to be stored with these headers. */
  bodyOmitted: 'Ponix-Body-Omitted',
} as const

/** Identify a replayed message as the original, so that consumers can detect duplicates. */
export const REPLAY_HEADERS = {
  /** `{stream}:{sequence}:{stored at}` of the first copy, unchanged by further replays. */
  of: 'Ponix-Replay-Of',
  /** The `Nats-Msg-Id` of the first copy. */
  messageId: DEAD_LETTER_HEADERS.messageId,
} as const

const STREAM = 'dead_letters'
const MAX_REASON_LENGTH = 1000

/** The place where a message was stored first. */
interface Origin extends Pick<Delivery, 'subject' | 'streamSequence' | 'storedAtMs'> {
  readonly stream: string
}

/** Returns the origin of a message of `stream`: its own place, or for a copy that of its headers. */
export function originOf(message: Delivery, stream: string): Origin {
  const sequence = message.header(DEAD_LETTER_HEADERS.sequence)
  const { subject, streamSequence, storedAtMs } = message
  if (sequence === undefined) return { stream, subject, streamSequence, storedAtMs }
  const read = (name: string): string => unescapeHeader(message.header(name) ?? '')
  return {
    stream: read(DEAD_LETTER_HEADERS.stream),
    subject: read(DEAD_LETTER_HEADERS.subject),
    streamSequence: Number(sequence),
    storedAtMs: Number(message.header(DEAD_LETTER_HEADERS.storedAt)),
  }
}

/** Returns the headers of a copy of a message of `stream`: its headers, except those that begin with `Nats-`, and its origin. */
export function headersOfCopy(message: Delivery, stream: string): Readonly<Record<string, string>> {
  const origin = originOf(message, stream)
  const messageId = message.header(REPLAY_HEADERS.messageId) ?? message.header('Nats-Msg-Id')
  const kept = Object.entries(message.headers()).filter(
    ([name]) => !/^(nats|ponix-(original|reason|attempts|service))/i.test(name),
  )
  return {
    ...Object.fromEntries(kept),
    [DEAD_LETTER_HEADERS.subject]: escapeHeader(origin.subject),
    [DEAD_LETTER_HEADERS.stream]: origin.stream,
    [DEAD_LETTER_HEADERS.sequence]: String(origin.streamSequence),
    [DEAD_LETTER_HEADERS.storedAt]: String(origin.storedAtMs),
    ...(messageId === undefined ? {} : { [DEAD_LETTER_HEADERS.messageId]: messageId }),
  }
}

type DeadLetterSource = Pick<ConsumerOptions, 'service' | 'stream' | 'durable' | 'hasUniqueIds'>

export async function publishDeadLetter(
  producer: Producer,
  { stream, durable, service, hasUniqueIds = false }: DeadLetterSource,
  message: Delivery,
  { reason, cause }: { readonly reason: string; readonly cause: string },
  signal?: AbortSignal,
): Promise<void> {
  const origin = originOf(message, stream)
  const { attempt, body } = message
  const ownId = hasUniqueIds ? message.header('Nats-Msg-Id') : undefined
  const publication = {
    subject: `${STREAM}.${origin.stream}`,
    body,
    messageId: `${origin.stream}.${durable}.${ownId ?? `${origin.streamSequence}.${origin.storedAtMs}`}`,
    headers: { ...headersOfCopy(message, stream), ...headersOf({ ...origin, reason, service, attempt }) },
  }
  count(cause, await publishBodyIfItFits(producer, publication, signal))
}

/** A message that was rejected before it reached its stream. */
export interface Refused {
  readonly service: string
  /** The intended stream: the dead letter is published on `dead_letters.{stream}`. */
  readonly stream: string
  /** Its source in the source's own protocol, such as an MQTT topic. */
  readonly subject: string
  readonly body: Uint8Array
  /** The size of a body that is too large to be read; `body` is empty then. */
  readonly omittedBytes?: number
  readonly messageId: string
  readonly reason: string
  /** The class of the reason, a label of metrics. */
  readonly cause: string
  /** The device's id in its network server, if the body is an envelope that has it in the place of the device's id. */
  readonly externalId?: string
  /** As of a {@link Publication}. */
  readonly assertSendable?: () => void
}

export async function publishRefused(producer: Producer, refused: Refused, signal: AbortSignal): Promise<void> {
  const { stream, body, omittedBytes, messageId, externalId, assertSendable } = refused
  const id = externalId === undefined ? {} : { [DEAD_LETTER_HEADERS.externalId]: externalId }
  const omitted = omittedBytes ? { [DEAD_LETTER_HEADERS.bodyOmitted]: String(omittedBytes) } : {}
  const headers = { ...headersOf({ ...refused, attempt: 1 }), ...id, ...omitted }
  const guard = assertSendable === undefined ? {} : { assertSendable }
  const publication = { subject: `${STREAM}.${stream}`, body, messageId, headers, ...guard }
  count(refused.cause, await publishBodyIfItFits(producer, publication, signal))
}

function count(cause: string, { duplicate }: Stored): void {
  if (!duplicate) natsMetrics.deadLetters.inc({ cause, outcome: 'stored' })
}

function headersOf(letter: Pick<Refused, 'service' | 'stream' | 'subject' | 'reason'> & { readonly attempt: number }) {
  return {
    [DEAD_LETTER_HEADERS.subject]: escapeHeader(letter.subject),
    [DEAD_LETTER_HEADERS.stream]: letter.stream,
    [DEAD_LETTER_HEADERS.reason]: escapeHeader(shortened(letter.reason)),
    [DEAD_LETTER_HEADERS.attempts]: String(letter.attempt),
    [DEAD_LETTER_HEADERS.service]: escapeHeader(letter.service),
  }
}

/** Returns a reason as it is stored: without passwords, and with a bounded length. */
export function shortened(reason: string): string {
  const text = messageOf(reason)
  return text.length <= MAX_REASON_LENGTH ? text : `${text.slice(0, MAX_REASON_LENGTH - 3)}...`
}

async function publishBodyIfItFits(
  producer: Producer,
  publication: Publication,
  signal?: AbortSignal,
): Promise<Stored> {
  try {
    return await producer.publish(publication, signal)
  } catch (error) {
    if (!(error instanceof PublishError) || error.code !== 'too_large') throw error
    const headers = { ...publication.headers, [DEAD_LETTER_HEADERS.bodyOmitted]: String(publication.body.length) }
    return await producer.publish({ ...publication, headers, body: new Uint8Array() }, signal)
  }
}

/** Encodes the backslash, and all characters except printable ASCII, as `\uXXXX`: NATS defines no encoding of headers. */
function escapeHeader(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]|\\/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function unescapeHeader(text: string): string {
  return text.replaceAll(/\\u([0-9a-f]{4})/g, (_all, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
}

export interface DeadLetter {
  /** The sequence in the dead letters stream: the argument of `showDeadLetter` and `replayDeadLetter`. */
  readonly sequence: number
  readonly storedAt: Date
  /** Original subject, stream and sequence; the sequence is 0 if the message was rejected before it reached the stream. */
  readonly subject: string
  readonly stream: string
  readonly streamSequence: number
  readonly reason: string
  readonly attempts: number
  readonly service: string
  /** The id of an unknown device in its network server. */
  readonly externalId: string | undefined
  /** Length of the original body. */
  readonly bytes: number
  readonly headers: Readonly<Record<string, string>>
  /** Undefined if it was too large to be stored with the dead letter and no longer exists in the original stream. */
  readonly body: Uint8Array | undefined
}

export interface DeadLetterFilter {
  readonly stream?: string
  readonly since?: Date
}

/** Yields the existing dead letters, oldest first; excludes messages stored during the iteration, such as failed replays. */
export async function* listDeadLetters(client: NatsClient, filter: DeadLetterFilter = {}): AsyncGenerator<DeadLetter> {
  const subject = `${STREAM}.${filter.stream ?? '>'}`
  const newest = (await infoOf(client, STREAM))?.state.last_seq ?? 0
  for (let from = 1; from <= newest;) {
    const message = await findMessage(client, STREAM, { seq: from, next_by_subj: subject })
    if (message === undefined || message.seq > newest) return
    if (filter.since === undefined || message.time >= filter.since) yield await detailOf(client, message)
    from = message.seq + 1
  }
}

/** Returns a dead letter with its body, read from the original stream if necessary; undefined if it does not exist. */
export async function showDeadLetter(client: NatsClient, sequence: number): Promise<DeadLetter | undefined> {
  const message = await findMessage(client, STREAM, { seq: sequence })
  return message === undefined ? undefined : await detailOf(client, message)
}

export interface ReplayOptions {
  readonly signal?: AbortSignal
  /** Returns the subject and the body for the device of a letter with `externalId`. Rejects with a ReplayError if there is none. */
  readonly address?: (letter: DeadLetter) => Promise<Pick<Publication, 'subject' | 'body'>>
}

function replayId({ sequence, storedAt }: DeadLetter): string {
  return `replay.${sequence}.${storedAt.getTime()}`
}

/**
 * Publishes the message again on its original subject with its original headers and {@link REPLAY_HEADERS}, and deletes the dead
 * letter when JetStream has stored it. Returns undefined if the dead letter does not exist. Concurrent replays store the message
 * once. Throws a PublishError if no stream captures the subject, a ReplayError if the message never was in a stream or its body
 * is lost, and the signal's reason.
 */
export async function replayDeadLetter(
  client: NatsClient,
  sequence: number,
  { signal, address }: ReplayOptions = {},
): Promise<Stored | undefined> {
  const message = await findMessage(client, STREAM, { seq: sequence })
  if (message === undefined) return undefined
  const letter = await detailOf(client, message)
  const publication =
    letter.externalId === undefined || address === undefined
      ? publicationOf(letter, message)
      : { ...(await address(letter)), messageId: replayId(letter) }
  const producer = createProducer(client)
  try {
    const stored = await producer.publish(publication, signal)
    await deleteMessage(client, STREAM, sequence)
    return stored
  } finally {
    producer.close()
  }
}

function publicationOf(letter: DeadLetter, message: StoredMsg): Publication {
  const { sequence, stream, streamSequence, subject, body, headers } = letter
  if (streamSequence === 0) {
    throw new ReplayError(
      `dead letter ${sequence} was rejected before it reached ${stream}; it has no subject to replay on`,
    )
  }
  if (body === undefined) {
    throw new ReplayError(
      `the body of dead letter ${sequence} is lost: it was only in message ${streamSequence} of stream ${stream}, which no longer exists; it cannot be replayed`,
    )
  }
  const storedAt = message.header.get(DEAD_LETTER_HEADERS.storedAt)
  const messageId = message.header.get(DEAD_LETTER_HEADERS.messageId)
  return {
    subject,
    body,
    messageId: replayId(letter),
    headers: {
      ...(storedAt === '' ? {} : { [REPLAY_HEADERS.of]: `${stream}:${streamSequence}:${storedAt}` }),
      ...(messageId === '' ? {} : { [REPLAY_HEADERS.messageId]: messageId }),
      ...headers,
    },
  }
}

async function detailOf(client: NatsClient, message: StoredMsg): Promise<DeadLetter> {
  const { seq, time, header, data, subject } = message
  const read = (name: string): string => unescapeHeader(header.get(name))
  const stream = read(DEAD_LETTER_HEADERS.stream) || subject.slice(STREAM.length + 1)
  const streamSequence = Number(read(DEAD_LETTER_HEADERS.sequence))
  const names = new Set<string>(Object.values(DEAD_LETTER_HEADERS))
  const original = header.keys().filter((name) => !names.has(name) && !name.startsWith('Nats-'))
  const lookUp = async () =>
    streamSequence === 0 ? undefined : await findMessage(client, stream, { seq: streamSequence })
  return {
    sequence: seq,
    storedAt: time,
    subject: read(DEAD_LETTER_HEADERS.subject),
    stream,
    streamSequence,
    reason: read(DEAD_LETTER_HEADERS.reason),
    attempts: Number(read(DEAD_LETTER_HEADERS.attempts)),
    service: read(DEAD_LETTER_HEADERS.service),
    externalId: read(DEAD_LETTER_HEADERS.externalId) || undefined,
    bytes: Number(header.get(DEAD_LETTER_HEADERS.bodyOmitted)) || data.length,
    headers: Object.fromEntries(original.map((name) => [name, header.get(name)])),
    body: header.has(DEAD_LETTER_HEADERS.bodyOmitted) ? (await lookUp())?.data : data,
  }
}
