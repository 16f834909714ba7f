import { PublishError } from '../domain/errors.ts'
import type { PulledMessage } from './delivery.ts'
import type { Producer } from './producer.ts'
import type { Publication } from './publication.ts'

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

export function unescapeHeader(text: string): string {
  return text.replaceAll(/\\u([0-9a-f]{4})/g, (_all, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
}

function oneLineOf(reason: string): string {
  const line = reason.replaceAll(/\s+/g, ' ').trim()
  return line.length <= MAX_REASON ? line : `${line.slice(0, MAX_REASON - 3)}...`
}
