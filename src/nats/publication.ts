import type { Msg } from '@nats-io/nats-core'
import { MsgHdrsImpl } from '@nats-io/nats-core/internal'
import { PublishError } from '../domain/errors.ts'

export interface Publication {
  readonly subject: string
  readonly body: Uint8Array
  /** `Nats-Msg-Id`: a second message with the same id within the stream's duplicate window is not stored again. */
  readonly messageId: string
  readonly headers?: Readonly<Record<string, string>>
}

/** Where JetStream stored the message. `duplicate`: it was there already, under the same message id. */
export interface Stored {
  readonly stream: string
  readonly sequence: number
  readonly duplicate: boolean
}

/** What JetStream said of a message. */
export type Reply =
  | { readonly kind: 'stored'; readonly stored: Stored }
  /** Nobody listens on the subject: no stream has it, or JetStream is not up yet. */
  | { readonly kind: 'no_responders' }
  /** May succeed later: the stream is full, JetStream has no leader or no disk. */
  | { readonly kind: 'later'; readonly reason: string }
  /** The stream's last message is not the one that this one has to follow. */
  | { readonly kind: 'out_of_turn' }
  | { readonly kind: 'never'; readonly error: PublishError }

const NO_RESPONDERS = 503
const MESSAGE_TOO_LARGE = 10_054
const WRONG_LAST_MESSAGE_ID = 10_070
/** The account is full; the same message is about to be stored: they pass, though the server counts them as the client's. */
const PASSING: ReadonlySet<number | undefined> = new Set([10_002, 10_158])

const EXPECTATION = 'Nats-Expected-Last-Msg-Id: '
const END = '\r\n\r\n'

/**
 * The headers as they are sent. JetStream stores the message only if the stream's last one has the id `follows`, if that is
 * given. Throws a PublishError for what cannot be sent.
 */
export function encodeHeaders({ subject, messageId, headers }: Publication, follows?: string): Buffer {
  if (!isPublishable(subject)) {
    throw new PublishError('invalid', `${JSON.stringify(subject)} is not a subject that can be published to`)
  }
  let block = 'NATS/1.0\r\n'
  for (const name in headers) block += `${name}: ${headerValue(subject, headers[name] ?? '')}\r\n`
  block += `Nats-Msg-Id: ${headerValue(subject, messageId)}`
  return Buffer.from(follows === undefined ? `${block}${END}` : `${block}\r\n${EXPECTATION}${follows}${END}`)
}

/** The same headers, for a message that may follow any. */
export function withoutExpectation(block: Buffer, follows: string): Buffer {
  const kept = block.length - END.length - Buffer.byteLength(follows) - EXPECTATION.length - 2
  const plain = Buffer.allocUnsafe(kept + END.length)
  block.copy(plain, 0, 0, kept)
  plain.write(END, kept, 'latin1')
  return plain
}

/**
 * Hands headers to the client that are written already: it would build them from a map of lists, at every sending. One object
 * serves all messages, for the client reads it at once.
 */
export class WrittenHeaders extends MsgHdrsImpl {
  block: Uint8Array = new Uint8Array()

  override encode(): Uint8Array {
    return this.block
  }
}

function headerValue(subject: string, value: string): string {
  if (!value.includes('\n') && !value.includes('\r')) return value.trim()
  throw new PublishError('invalid', `a header of ${subject} has a line break: ${JSON.stringify(value)}`)
}

/** Reads the acknowledgement of one message. */
export function readReply(message: Msg, subject: string): Reply {
  if (message.data.length === 0 && message.headers?.code === NO_RESPONDERS) return { kind: 'no_responders' }
  const answer = parseAnswer(message)
  if (answer === undefined) return { kind: 'later', reason: 'an acknowledgement that cannot be read' }
  const { error } = answer
  if (error === undefined) {
    const { stream, seq, duplicate = false } = answer
    return { kind: 'stored', stored: { stream, sequence: seq, duplicate } }
  }
  if (error.err_code === WRONG_LAST_MESSAGE_ID) return { kind: 'out_of_turn' }
  const reason = `${error.description ?? 'no reason given'} (${error.err_code ?? error.code ?? 0})`
  if (error.err_code === MESSAGE_TOO_LARGE) {
    return {
      kind: 'never',
      error: new PublishError('too_large', `JetStream refused a message on ${subject}: ${reason}`),
    }
  }
  if ((error.code ?? 500) >= 500 || PASSING.has(error.err_code)) return { kind: 'later', reason }
  return { kind: 'never', error: new PublishError('refused', `JetStream refused a message on ${subject}: ${reason}`) }
}

interface PubAckAnswer {
  readonly stream: string
  readonly seq: number
  readonly duplicate?: boolean
  readonly error?: { readonly code?: number; readonly err_code?: number; readonly description?: string }
}

/** What JetStream says of nearly every message, as it writes it. */
const PLAIN_ACK = /^\{"stream":"([^"\\]+)", ?"seq":(\d{1,15})\}$/

function parseAnswer(message: Msg): PubAckAnswer | undefined {
  try {
    const [, stream, seq] = PLAIN_ACK.exec(message.string()) ?? []
    if (stream !== undefined) return { stream, seq: Number(seq) }
    const answer = message.json<Partial<PubAckAnswer> | null>()
    if (answer?.error !== undefined) return { stream: '', seq: 0, error: answer.error }
    if (typeof answer?.stream !== 'string' || typeof answer.seq !== 'number') return undefined
    return { stream: answer.stream, seq: answer.seq, duplicate: answer.duplicate === true }
  } catch {
    return undefined
  }
}

/** A subject that can be published to: no wildcard, no empty token, no white space or control character. */
export function isPublishable(subject: string): boolean {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return !/[\s\u0000-\u001f\u007f*>]|^\.|\.\.|\.$|^$/u.test(subject)
}

/**
 * The id itself when it can be one token of a subject; otherwise throws a PublishError: `.`, `*`, `>`, white space, control
 * characters, empty (N-2).
 */
export function subjectToken(id: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (id !== '' && !/[\s\u0000-\u001f\u007f.*>]/u.test(id)) return id
  throw new PublishError(
    'invalid',
    `${JSON.stringify(id)} cannot be part of a subject: expected an id without white space, ".", "*" and ">"`,
  )
}
