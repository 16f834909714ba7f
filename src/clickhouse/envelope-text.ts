import { isJsonList, type JsonObject, type JsonValue, type ProcessedEnvelope, type Uplink } from '../domain/entities.ts'
import { isStorable, STORABLE_YEARS, toRfc3339, type Instant } from '../domain/instant.ts'
import { conflictIn } from './json-paths.ts'

/** A row of the table of processed envelopes. */
export interface EnvelopeRow {
  readonly envelope: ProcessedEnvelope
  /**
   * Stable id: the same on every redelivery and in every batch, and unique among the envelopes of a device. The `Nats-Msg-Id` of
   * the message in `processed_envelopes`, or `{stream}:{stream sequence}` without one.
   */
  readonly envelopeId: string
}

const DATE_LENGTH = 'YYYY-MM-DD'.length

/** Renders the row as one line of JSONEachRow. Throws a RangeError for values that the table cannot store. */
export function toRowText({ envelope, envelopeId }: EnvelopeRow): string {
  const { organizationId, endDeviceId, occurredAt, processedAt, data, warnings, uplink } = envelope
  assertStorable('data', data)
  const ids = `{"organization_id":${JSON.stringify(organizationId)},"end_device_id":${JSON.stringify(endDeviceId)}`
  const occurred = timeText(occurredAt, 'occurred_at')
  const processed = timeText(processedAt, 'processed_at')
  const times = `,"occurred_at":"${occurred}","processed_at":"${processed}"`
  const warned = warnings === undefined ? '' : `,"warnings":${JSON.stringify(warnings)}`
  return `${ids}${times},"identity":${JSON.stringify(envelopeId)},"data":${toJsonText(data)}${warned}${uplinkText(uplink)}}\n`
}

function assertStorable(column: string, object: JsonObject): void {
  const conflict = conflictIn(object)
  if (conflict !== undefined) throw new RangeError(`${column} has ${conflict}`)
}

/** Renders the columns of an uplink; ClickHouse stores NULL and an empty object for absent columns. */
function uplinkText(uplink: Uplink | undefined): string {
  if (uplink === undefined) return ''
  const { fPort, fCnt, metadata } = uplink
  const numbers = `${fPort === undefined ? '' : `,"f_port":${fPort}`}${fCnt === undefined ? '' : `,"f_cnt":${fCnt}`}`
  if (metadata === undefined) return numbers
  assertStorable('metadata', metadata)
  return `${numbers},"metadata":${toJsonText(metadata)}`
}

/** Throws a RangeError where ClickHouse would silently store the nearest time that it can represent. */
function timeText(instant: Instant, column: string): string {
  if (!isStorable(instant)) {
    throw new RangeError(`${column} is outside the years ${STORABLE_YEARS}, the range of the table`)
  }
  const text = toRfc3339(instant)
  return `${text.slice(0, DATE_LENGTH)} ${text.slice(DATE_LENGTH + 1, -1)}`
}

/**
 * Renders JSON in which every number has a fraction or an exponent. A JSON column infers the type of a value from its text: `25` becomes
 * an Int64, and reading the path as Float64 gives NULL for that row. Throws a RangeError for NaN and infinity.
 */
export function toJsonText(value: JsonValue): string {
  if (typeof value === 'number') return numberText(value)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (isJsonList(value)) return `[${value.map(toJsonText).join(',')}]`
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
