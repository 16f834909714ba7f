import type { JsonObject, JsonValue } from '../domain/entities.ts'
import { toRfc3339, type Instant } from '../domain/instant.ts'
import type { EnvelopeRow } from './envelope-writer.ts'

/** What DateTime64(6) can hold; ClickHouse would silently store the nearest time that it can. */
const FIRST_INSTANT = BigInt(Date.UTC(1900, 0, 1)) * 1000n
const END_OF_INSTANTS = BigInt(Date.UTC(2300, 0, 1)) * 1000n
const DATE_LENGTH = 'YYYY-MM-DD'.length

/** One line of JSONEachRow for the table of processed envelopes. Throws a RangeError for what the table cannot hold. */
export function toRowText({ envelope, identity }: EnvelopeRow): string {
  const { organizationId, endDeviceId, occurredAt, processedAt, data } = envelope
  const who = `{"organization_id":${JSON.stringify(organizationId)},"end_device_id":${JSON.stringify(endDeviceId)}`
  const occurred = timeText(occurredAt, 'occurred_at')
  const processed = timeText(processedAt, 'processed_at')
  const when = `,"occurred_at":"${occurred}","processed_at":"${processed}"`
  return `${who}${when},"identity":${JSON.stringify(identity)},"data":${toJsonText(data)}}\n`
}

function timeText(instant: Instant, column: string): string {
  if (instant < FIRST_INSTANT || instant >= END_OF_INSTANTS) {
    throw new RangeError(`${column} is outside the years 1900 to 2299, which is all that the table can hold`)
  }
  const text = toRfc3339(instant)
  return `${text.slice(0, DATE_LENGTH)} ${text.slice(DATE_LENGTH + 1, -1)}`
}

/**
 * JSON in which every number has a fraction or an exponent. A JSON column takes the type of a value from its text: `25`
 * becomes an Int64, and whoever reads the path as Float64 gets NULL for that row. Throws a RangeError for NaN and infinity.
 */
export function toJsonText(value: JsonValue): string {
  if (typeof value === 'number') return numberText(value)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (isArray(value)) return `[${value.map(toJsonText).join(',')}]`
  return objectText(value)
}

function objectText(object: JsonObject): string {
  let text = '{'
  for (const [key, value] of Object.entries(object)) {
    text += `${text.length > 1 ? ',' : ''}${JSON.stringify(key)}:${toJsonText(value)}`
  }
  return `${text}}`
}

function numberText(value: number): string {
  if (!Number.isFinite(value)) throw new RangeError(`${value} is not a JSON number`)
  if (Object.is(value, -0)) return '-0.0'
  const text = String(value)
  return Number.isInteger(value) && !text.includes('e') ? `${text}.0` : text
}

function isArray(value: JsonObject | readonly JsonValue[]): value is readonly JsonValue[] {
  return Array.isArray(value)
}
