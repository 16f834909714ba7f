import type { Decoded } from './codec.ts'
import { isJsonList, isJsonObject, type JsonObject, type JsonValue } from '../entities.ts'
import { fromRfc3339, isStorable, STORABLE_YEARS, toRfc3339, type Instant } from '../instant.ts'

/** What a device measured at one time. */
export interface Reading {
  readonly occurredAt: Instant
  readonly data: JsonObject
}

/** The readings of a payload, or the reason why the result of the codec has none. */
export type Readings =
  | { readonly ok: true; readonly readings: readonly Reading[] }
  | { readonly ok: false; readonly reason: string }

/** The maximum number of readings of a payload. */
const MAX_READINGS = 1000
const KEYS: ReadonlySet<string> = new Set(['time', 'age_s', 'data'])
const MICROS_PER_SECOND = 1e6
const MAX_SHOWN = 80

/** The reason why an element of a list is not a reading. */
class ReadingError extends Error {
  override readonly name = 'ReadingError'
}

/**
 * Returns the readings of a result. An object is one reading at the time of receipt. A list has a reading per element, `{"time": RFC
 * 3339, "data": {…}}` or `{"age_s": seconds before the receipt, "data": {…}}`; without both it is of the time of receipt.
 */
export function readingsOf(decoded: Decoded, receivedAt: Instant): Readings {
  if (!isJsonList(decoded)) return { ok: true, readings: [{ occurredAt: receivedAt, data: decoded }] }
  if (decoded.length > MAX_READINGS) {
    return { ok: false, reason: `the result has ${decoded.length} readings; at most ${MAX_READINGS} are allowed` }
  }
  const readings: Reading[] = []
  for (const [index, element] of decoded.entries()) {
    try {
      readings.push(readingOf(element, receivedAt))
    } catch (error) {
      if (!(error instanceof ReadingError)) throw error
      return { ok: false, reason: `reading ${index}: ${error.message}` }
    }
  }
  return { ok: true, readings }
}

/**
 * Returns the result of a codec as the platform stores it: a list of readings as `[{time, data}]` with the time of each. A value that is
 * not a list of readings is returned unchanged.
 */
export function storedResult(result: JsonValue, receivedAt: Instant): JsonValue {
  if (!isJsonList(result)) return result
  const list = readingsOf(result, receivedAt)
  return list.ok ? list.readings.map(({ occurredAt, data }) => ({ time: toRfc3339(occurredAt), data })) : result
}

function readingOf(element: JsonValue, receivedAt: Instant): Reading {
  if (!isJsonObject(element)) {
    throw new ReadingError(
      `expected an object such as {"time": "2026-01-02T03:04:05Z", "data": {…}}, not ${shown(element)}`,
    )
  }
  const unknown = Object.keys(element).find((key) => !KEYS.has(key))
  if (unknown !== undefined) {
    throw new ReadingError(`unknown key ${shown(unknown)}; expected "data", and "time" or "age_s"`)
  }
  const { data } = element
  if (!isJsonObject(data)) throw new ReadingError(`data is not an object: ${shown(data)}`)
  const occurredAt = timeOf(element, receivedAt)
  if (isStorable(occurredAt)) return { occurredAt, data }
  throw new ReadingError(`its time is outside the years ${STORABLE_YEARS}`)
}

function timeOf({ time, age_s: age }: JsonObject, receivedAt: Instant): Instant {
  if (time !== undefined && age !== undefined)
    throw new ReadingError('it has both time and age_s; expected one of them')
  if (age !== undefined) return receivedAt - microsOf(age)
  if (time === undefined) return receivedAt
  const instant = typeof time === 'string' ? fromRfc3339(time) : null
  if (instant === null) throw new ReadingError(`time is not RFC 3339: ${shown(time)}`)
  return instant
}

function microsOf(age: JsonValue): bigint {
  if (typeof age === 'number' && age >= 0) {
    const micros = Math.round(age * MICROS_PER_SECOND)
    if (Number.isFinite(micros)) return BigInt(micros)
  }
  throw new ReadingError(`age_s is not a number of seconds of at least 0: ${shown(age)}`)
}

function shown(value: JsonValue | undefined): string {
  const text = value === undefined ? 'it is missing' : JSON.stringify(value)
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN - 1)}…` : text
}
