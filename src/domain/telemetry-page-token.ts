import { z } from 'zod'
import { invalid, optionalText } from './fields.ts'
import type { TelemetryCursor, TelemetryFilter } from './telemetry.ts'

const MAX_LENGTH = 16_384

const micros = z.string().regex(/^-?\d{1,19}$/)
/** The version in front lets a later form live beside this one; then the filter, then the place. */
const form = z.tuple([
  z.literal(1),
  z.string(),
  z.string().nullable(),
  micros.nullable(),
  micros.nullable(),
  micros,
  z.string(),
  z.string(),
])

/** A token of the page that begins after the cursor: opaque to callers, and good for the same filter only. */
export function encodeTelemetryToken(filter: TelemetryFilter, cursor: TelemetryCursor): string {
  const content: z.infer<typeof form> = [
    1,
    filter.organizationId,
    filter.endDeviceId,
    filter.from === null ? null : String(filter.from),
    filter.to === null ? null : String(filter.to),
    String(cursor.occurredAt),
    cursor.endDeviceId,
    cursor.identity,
  ]
  return Buffer.from(JSON.stringify(content)).toString('base64url')
}

/** Throws `invalid_argument` for anything but a token that was made for this very filter. */
export function decodeTelemetryToken(token: string, filter: TelemetryFilter): TelemetryCursor {
  optionalText('page_token', token, MAX_LENGTH)
  const content = form.safeParse(parsed(token))
  if (!content.success) throw broken('is not a token of this list')
  const [, , , , , occurredAt, endDeviceId, identity] = content.data
  const cursor = { occurredAt: BigInt(occurredAt), endDeviceId, identity }
  if (encodeTelemetryToken(filter, cursor) !== token) {
    throw broken('belongs to another query (organization_id, end_device_id, from and to must stay the same)')
  }
  return cursor
}

function parsed(token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token, 'base64url').toString())
  } catch {
    return undefined
  }
}

function broken(what: string): Error {
  return invalid(`page_token ${what}: pass next_page_token of the page before, or nothing`)
}
