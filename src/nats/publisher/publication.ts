import type { Msg } from '@nats-io/nats-core'
import { MsgHdrsImpl } from '@nats-io/nats-core/internal'
import { PublishError } from '../../domain/errors.ts'

export interface Publication {
  readonly subject: string
  readonly body: Uint8Array
  /** `Nats-Msg-Id`: a second message with the same id within the stream's duplicate window is not stored again. */
  readonly messageId: string
  readonly headers?: Readonly<Record<string, string>>
  /**
   * Called before the message is sent, which can be long after `publish`, and before it is sent again. If it throws, the message is not
   * sent and rejects with the error. Not for ordered publishers.
   */
  readonly assertSendable?: () => void
}

/** The place where JetStream stored the message. `duplicate`: it already existed under the same message id. */
export interface Stored {
  readonly stream: string
  readonly sequence: number
  readonly duplicate: boolean
}

export type Reply =
  | { readonly kind: 'stored'; readonly stored: Stored }
  /** The subject has no subscriber: no stream captures it, or JetStream is not running yet. */
  | { readonly kind: 'no_responders' }
  /** A retry can succeed later: the stream is full, or JetStream has no leader or no disk space. */
  | { readonly kind: 'later'; readonly reason: string }
  /** The last message of the stream is not the predecessor of this message. */
  | { readonly kind: 'out_of_order' }
  | { readonly kind: 'never'; readonly error: PublishError }

const NO_RESPONDERS = 503
const MESSAGE_TOO_LARGE = 10_054
const WRONG_LAST_MESSAGE_ID = 10_070
/** Codes of temporary failures that the server reports as client errors: account limit reached; same message id being stored. */
const TEMPORARY: ReadonlySet<number | undefined> = new Set([10_002, 10_158])

const EXPECTATION = 'Nats-Expected-Last-Msg-Id: '
const END = '\r\n\r\n'
const HEADER_FRAME = `NATS/1.0\r\nNats-Msg-Id: ${END}`
const FIELD_FRAME = ': \r\n'

/**
 * Encodes the headers. With `follows`, JetStream stores the message only if the last message of the stream has that id. Throws
 * a PublishError for a subject or header that cannot be sent.
 */
export function encodeHeaders({ subject, messageId, headers }: Publication, follows?: string): Buffer {
  if (!isPublishable(subject)) {
    const expected = `tokens without wildcards, at most ${MAX_SUBJECT_LENGTH} characters`
    throw new PublishError('invalid', `invalid subject ${shown(subject)}: expected ${expected}`)
  }
  let block = 'NATS/1.0\r\n'
  for (const name in headers) block += `${name}: ${headerValue(subject, headers[name] ?? '')}\r\n`
  block += `Nats-Msg-Id: ${headerValue(subject, messageId)}`
  return Buffer.from(follows === undefined ? `${block}${END}` : `${block}\r\n${EXPECTATION}${follows}${END}`)
}

const MAX_UTF8_BYTES_PER_UNIT = 3

/**
 * Throws a PublishError if NATS does not accept the message because it exceeds `max_payload`, in which headers count. The
 * expectation of a predecessor does not count, because the message can be sent without it.
 */
export function checkSize(publication: Publication, maxPayload = Infinity): void {
  const { subject, body, messageId, headers } = publication
  let units = HEADER_FRAME.length + messageId.length
  for (const name in headers) units += name.length + (headers[name] ?? '').length + FIELD_FRAME.length
  // Encodes the headers only if they can exceed the limit.
  if (body.length + units * MAX_UTF8_BYTES_PER_UNIT <= maxPayload) return
  const bytes = body.length + encodeHeaders(publication).length
  if (bytes <= maxPayload) return
  const reason = `message of ${bytes} bytes for ${subject} exceeds max_payload ${maxPayload} of NATS; raise max_payload`
  throw new PublishError('too_large', reason)
}

export function withoutExpectation(block: Buffer, follows: string): Buffer {
  const kept = block.length - END.length - Buffer.byteLength(follows) - EXPECTATION.length - 2
  const plain = Buffer.allocUnsafe(kept + END.length)
  block.copy(plain, 0, 0, kept)
  plain.write(END, kept, 'latin1')
  return plain
}

/**
 * Passes encoded headers to the client, which would otherwise build them from a map of lists at every send. One object serves
 * all messages because the client reads it synchronously.
 */
export class EncodedHeaders extends MsgHdrsImpl {
  block: Uint8Array = new Uint8Array()

  override encode(): Uint8Array {
    return this.block
  }
}

function headerValue(subject: string, value: string): string {
  if (!value.includes('\n') && !value.includes('\r')) return value.trim()
  throw new PublishError('invalid', `header with a line break in a message on ${subject}: ${JSON.stringify(value)}`)
}

/** In UTF-8 at most 3,000 bytes: nats-server closes a connection whose command line is longer than 4 KiB (`max_control_line`). */
const MAX_SUBJECT_LENGTH = 1000

/** Returns whether messages can be published on the subject: no wildcard, empty token, white space, control character or excessive length. */
export function isPublishable(subject: string): boolean {
  if (subject.length > MAX_SUBJECT_LENGTH) return false
  // eslint-disable-next-line no-control-regex -- control characters are not allowed in subjects
  return !/[\s\u0000-\u001f\u007f*>]|^\.|\.\.|\.$|^$/u.test(subject)
}

/** Returns the id as a subject token. Throws a PublishError if it is empty or has `.`, `*`, `>`, white space or control characters. */
export function subjectToken(id: string): string {
  if (isPublishable(id) && !id.includes('.')) return id
  throw new PublishError(
    'invalid',
    `invalid id ${shown(id)}: expected a subject token without white space, ".", "*" and ">"`,
  )
}

function shown(text: string): string {
  return JSON.stringify(text.length > MAX_SUBJECT_LENGTH ? `${text.slice(0, MAX_SUBJECT_LENGTH)}…` : text)
}

export function readReply(message: Msg, subject: string): Reply {
  if (message.data.length === 0 && message.headers?.code === NO_RESPONDERS) return { kind: 'no_responders' }
  const answer = parseAnswer(message)
  if (answer === undefined) return { kind: 'later', reason: 'unreadable acknowledgement' }
  if ('sequence' in answer) return { kind: 'stored', stored: answer }
  const { err_code: errorCode, code: status = 500, description = 'no reason given' } = answer
  if (errorCode === WRONG_LAST_MESSAGE_ID) return { kind: 'out_of_order' }
  const reason = `${description} (${errorCode ?? answer.code ?? 0})`
  const tooLarge = errorCode === MESSAGE_TOO_LARGE
  if (!tooLarge && (status >= 500 || TEMPORARY.has(errorCode))) return { kind: 'later', reason }
  const code = tooLarge ? 'too_large' : 'refused'
  return { kind: 'never', error: new PublishError(code, `JetStream rejected a message on ${subject}: ${reason}`) }
}

interface ApiError {
  readonly code?: number
  readonly err_code?: number
  readonly description?: string
}

/** The reply to nearly every message, exactly as JetStream formats it. */
const PLAIN_ACK = /^\{"stream":"([^"\\]+)", ?"seq":(\d{1,15})\}$/

function parseAnswer(message: Msg): Stored | ApiError | undefined {
  try {
    const [, plainStream, plainSequence] = PLAIN_ACK.exec(message.string()) ?? []
    if (plainStream !== undefined) return { stream: plainStream, sequence: Number(plainSequence), duplicate: false }
    const answer = message.json<{ stream?: unknown; seq?: unknown; duplicate?: unknown; error?: ApiError } | null>()
    if (answer?.error !== undefined) return answer.error
    if (typeof answer?.stream !== 'string' || typeof answer.seq !== 'number') return undefined
    return { stream: answer.stream, sequence: answer.seq, duplicate: answer.duplicate === true }
  } catch {
    return undefined
  }
}
