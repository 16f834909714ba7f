import type { JsonObject } from '../../src/domain/entities.ts'
import { toRfc3339 } from '../../src/domain/instant.ts'
import type { DeadLetterDetail } from '../../src/nats/dead-letters.ts'
import { decodeProcessedEnvelope, decodeRawEnvelope } from '../../src/proto/envelope.ts'
import { MappingError } from '../../src/domain/errors.ts'

/** What can be read in the body of a dead letter. */
type Content =
  /** A raw envelope: the device's bytes in hexadecimal. */
  | { readonly payload: string }
  /** A processed envelope. */
  | { readonly data: JsonObject }
  /** Neither: the whole body in hexadecimal; null if it is gone. */
  | { readonly body: string | null }

/** A dead letter as `--json` prints it. */
export type DeadLetterView = Content & {
  readonly sequence: number
  /** When it became a dead letter; RFC 3339. */
  readonly stored_at: string
  readonly stream: string
  /** 0: it was refused before it got to the stream, and cannot be replayed. */
  readonly stream_sequence: number
  readonly subject: string
  readonly service: string
  readonly attempts: number
  readonly reason: string
  /** Length of the original body. */
  readonly bytes: number
  /** These three are null when the body is no envelope. */
  readonly organization_id: string | null
  readonly end_device_id: string | null
  readonly occurred_at: string | null
}

/** The streams whose messages are envelopes. */
export interface EnvelopeStreams {
  readonly raw: string
  readonly processed: string
}

/** Which dead letters are meant. All that is said must be true of one. */
export interface ViewFilter {
  readonly organization?: string
  readonly endDevice?: string
  /** A part of the reason, whatever its case. */
  readonly reason?: string
}

export function viewOf(letter: DeadLetterDetail, streams: EnvelopeStreams): DeadLetterView {
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

function envelopeOf({ stream, streamSequence, body }: DeadLetterDetail, { raw, processed }: EnvelopeStreams): Envelope {
  const nobody = { organization_id: null, end_device_id: null, occurred_at: null }
  if (body === undefined) return { ...nobody, body: null }
  try {
    if (streamSequence > 0 && stream === raw) return rawView(body)
    if (streamSequence > 0 && stream === processed) return processedView(body)
  } catch (error) {
    if (!(error instanceof MappingError)) throw error
  }
  return { ...nobody, body: hexOf(body) }
}

function rawView(body: Uint8Array): Envelope {
  const { organizationId, endDeviceId, receivedAt, payload } = decodeRawEnvelope(body)
  return {
    organization_id: organizationId,
    end_device_id: endDeviceId,
    occurred_at: toRfc3339(receivedAt),
    payload: hexOf(payload),
  }
}

function processedView(body: Uint8Array): Envelope {
  const { organizationId, endDeviceId, occurredAt, data } = decodeProcessedEnvelope(body)
  return { organization_id: organizationId, end_device_id: endDeviceId, occurred_at: toRfc3339(occurredAt), data }
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

export function isMeant(view: DeadLetterView, { organization, endDevice, reason }: ViewFilter): boolean {
  if (organization !== undefined && view.organization_id !== organization) return false
  if (endDevice !== undefined && view.end_device_id !== endDevice) return false
  return reason === undefined || view.reason.toLowerCase().includes(reason.toLowerCase())
}

const LISTED_CHARACTERS = 80

/** Three lines of a list: which, why, and the beginning of what. */
export function listText(view: DeadLetterView): string {
  const content = contentText(view)
  const isLong = content.length > LISTED_CHARACTERS
  return linesOf([
    `${view.sequence}  ${view.stored_at}  ${view.stream}  ${senderText(view)}`,
    `    ${view.reason}`,
    `    ${isLong ? `${content.slice(0, LISTED_CHARACTERS)}… (${view.bytes} bytes in all)` : content}`,
  ])
}

/** All of it. */
export function showText(view: DeadLetterView): string {
  return linesOf([
    `dead letter  ${view.sequence}, since ${view.stored_at}`,
    `from         ${view.subject}, stream ${view.stream}, sequence ${view.stream_sequence}`,
    `by           ${view.service}, after ${view.attempts} ${view.attempts === 1 ? 'attempt' : 'attempts'}`,
    `device       ${senderText(view)}${view.occurred_at === null ? '' : `, heard ${view.occurred_at}`}`,
    `reason       ${view.reason}`,
    `content      ${contentText(view)}`,
  ])
}

function senderText({ organization_id: organization, end_device_id: device }: DeadLetterView): string {
  return organization === null || device === null ? 'no envelope' : `${organization}/${device}`
}

function contentText(view: DeadLetterView): string {
  if ('payload' in view) return `payload ${view.payload === '' ? 'of no byte' : view.payload}`
  if ('data' in view) return `data ${JSON.stringify(view.data)}`
  return view.body === null ? 'was too large to be kept, and is gone from its stream' : `body ${view.body}`
}

/** What devices and gateways say must not steer the terminal. */
function linesOf(lines: readonly string[]): string {
  const shown = lines.map((line) =>
    line.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`),
  )
  return `${shown.join('\n')}\n`
}
