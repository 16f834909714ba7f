import type { JsonObject } from '../../src/domain/entities.ts'
import { MappingError } from '../../src/domain/errors.ts'
import { toRfc3339, type Instant } from '../../src/domain/instant.ts'
import type { DeadLetter } from '../../src/nats/dead-letters.ts'
import { decodeProcessedEnvelope, decodeRawEnvelope } from '../../src/proto/envelope.ts'

type Content =
  /** The payload of a raw envelope in hexadecimal. */
  | { readonly payload: string }
  /** The data of a processed envelope. */
  | { readonly data: JsonObject }
  /** The body of any other message in hexadecimal; null if it is not available. */
  | { readonly body: string | null }

/** A dead letter as `--json` prints it. */
export type DeadLetterView = Content & {
  readonly sequence: number
  /** The time when it became a dead letter, in RFC 3339. */
  readonly stored_at: string
  readonly stream: string
  /** 0 if the message was rejected before it was stored in the stream; only an envelope can then be replayed. */
  readonly stream_sequence: number
  readonly subject: string
  readonly service: string
  readonly attempts: number
  readonly reason: string
  /** Length of the original body. */
  readonly bytes: number
  /** This and the next two fields are null if the body is not an envelope. */
  readonly organization_id: string | null
  /** The id in the network server if the device did not exist. */
  readonly end_device_id: string | null
  readonly occurred_at: string | null
}

/** The names of the streams of raw and processed envelopes. */
export interface EnvelopeStreams {
  readonly raw: string
  readonly processed: string
}

/** All given conditions must match. */
export interface ViewFilter {
  readonly organization?: string
  readonly endDevice?: string
  /** A part of the reason, ignoring case. */
  readonly reason?: string
}

export function matches(view: DeadLetterView, { organization, endDevice, reason }: ViewFilter): boolean {
  if (organization !== undefined && view.organization_id !== organization) return false
  if (endDevice !== undefined && view.end_device_id !== endDevice) return false
  return reason === undefined || view.reason.toLowerCase().includes(reason.toLowerCase())
}

export function viewOf(letter: DeadLetter, streams: EnvelopeStreams): DeadLetterView {
  const { sequence, storedAt, stream, streamSequence, subject, service, attempts, reason, bytes } = letter
  return {
    sequence,
    stored_at: storedAt.toISOString(),
    stream,
    stream_sequence: streamSequence,
    subject,
    service,
    attempts,
    reason,
    bytes,
    ...envelopeOf(letter, streams),
  }
}

type Envelope = Content & Pick<DeadLetterView, 'organization_id' | 'end_device_id' | 'occurred_at'>

function envelopeOf(
  { stream, streamSequence, externalId, body }: DeadLetter,
  { raw, processed }: EnvelopeStreams,
): Envelope {
  const none = { organization_id: null, end_device_id: null, occurred_at: null }
  if (body === undefined) return { ...none, body: null }
  try {
    if ((streamSequence > 0 || externalId !== undefined) && stream === raw) {
      const envelope = decodeRawEnvelope(body)
      return { ...originOf(envelope, envelope.receivedAt), payload: hexOf(envelope.payload) }
    }
    if (streamSequence > 0 && stream === processed) {
      const envelope = decodeProcessedEnvelope(body)
      return { ...originOf(envelope, envelope.occurredAt), data: envelope.data }
    }
  } catch (error) {
    if (!(error instanceof MappingError)) throw error
  }
  return { ...none, body: hexOf(body) }
}

function originOf(ids: { readonly organizationId: string; readonly endDeviceId: string }, occurredAt: Instant) {
  return { organization_id: ids.organizationId, end_device_id: ids.endDeviceId, occurred_at: toRfc3339(occurredAt) }
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

const LISTED_CHARACTERS = 80

/** Renders three lines: origin, reason, and the start of the content. */
export function listText(view: DeadLetterView): string {
  const content = contentText(view)
  const isLong = content.length > LISTED_CHARACTERS
  return linesOf([
    `${view.sequence}  ${view.stored_at}  ${view.stream}  ${deviceText(view)}`,
    `    ${view.reason}`,
    `    ${isLong ? `${content.slice(0, LISTED_CHARACTERS)}… (${view.bytes} bytes)` : content}`,
  ])
}

export function showText(view: DeadLetterView): string {
  return linesOf([
    `dead letter  ${view.sequence}, stored ${view.stored_at}`,
    `message      ${view.subject}, stream ${view.stream}, sequence ${view.stream_sequence}`,
    `service      ${view.service}, after ${view.attempts} ${view.attempts === 1 ? 'attempt' : 'attempts'}`,
    `device       ${deviceText(view)}${view.occurred_at === null ? '' : `, occurred ${view.occurred_at}`}`,
    `reason       ${view.reason}`,
    `content      ${contentText(view)}`,
  ])
}

function deviceText({ organization_id: organization, end_device_id: device }: DeadLetterView): string {
  return organization === null || device === null ? 'not an envelope' : `${organization}/${device}`
}

function contentText(view: DeadLetterView): string {
  if ('payload' in view) return `payload ${view.payload === '' ? '(empty)' : view.payload}`
  if ('data' in view) return `data ${JSON.stringify(view.data)}`
  return view.body === null
    ? 'not available: too large for a dead letter, and deleted from its stream'
    : `body ${view.body}`
}

/** Escapes control characters: text from devices and gateways must not control the terminal. */
function linesOf(lines: readonly string[]): string {
  const shown = lines.map((line) =>
    line.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`),
  )
  return `${shown.join('\n')}\n`
}
