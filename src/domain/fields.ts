import { isJsonList, isJsonObject, type JsonObject, type JsonValue } from './entities.ts'
import { DomainError, messageOf } from './errors.ts'

/** The maximum of each field, in UTF-16 code units, in UTF-8 bytes if the name ends in `Bytes`, or in days if it ends in `Days`. */
export const LIMITS = {
  id: 128,
  name: 255,
  gatewayType: 64,
  gatewayConfigBytes: 65_536,
  jsonDepth: 32,
  payloadConversionBytes: 4096,
  samples: 200,
  samplesBytes: 98_304,
  profileFields: 200,
  profileFieldsBytes: 16_384,
  pageToken: 1024,
  retentionDays: 36_500,
} as const

/** Characters that UTF-8 or PostgreSQL's text type cannot store. */
const UNSTORABLE = /[\0\p{Surrogate}]/u

export function requiredId(field: string, value: string): string {
  return requiredText(field, value, LIMITS.id)
}

/** Returns the text; throws `invalid_argument` if it is blank or longer than `limit` code units. */
export function requiredText(field: string, value: string, limit: number): string {
  if (value.trim() === '') throw invalid(`${field} is required and must not be blank`)
  return optionalText(field, value, limit)
}

/** Returns the text; throws `invalid_argument` if it is longer than `limit` code units. */
export function optionalText(field: string, value: string, limit: number): string {
  if (value.length > limit) throw invalid(`${field} is too long: ${value.length} characters, at most ${limit}`)
  return storable(field, value)
}

/** Returns the text; throws `invalid_argument` if it is longer than `limit` bytes of UTF-8. */
export function optionalBytes(field: string, value: string, limit: number): string {
  const bytes = Buffer.byteLength(value)
  if (bytes > limit) throw invalid(`${field} is too long: ${bytes} bytes, at most ${limit}`)
  return storable(field, value)
}

/** Returns the number; throws `invalid_argument` unless it is an integer from 0 to `limit`. */
export function wholeNumber(field: string, value: number, limit: number): number {
  if (!Number.isInteger(value) || value < 0 || value > limit)
    throw invalid(`${field} must be an integer from 0 to ${limit}, not ${value}`)
  return value
}

/** Parses a field of JSON text that must be an object; an empty text means `{}`. */
export function jsonObject(field: string, text: string, limit: number): JsonObject {
  optionalBytes(field, text, limit)
  if (text === '') return {}
  const value = parseJson(field, text)
  if (!isJsonObject(value))
    throw invalid(`${field} must be a JSON object such as {"host": "mqtt.example.com"}, not ${kindOf(value)}`)
  assertStorable(field, value)
  return value
}

export function invalid(message: string, options?: ErrorOptions): DomainError {
  return new DomainError('invalid_argument', message, options)
}

/** Returns the entity; throws `not_found` if it is null. */
export function found<T>(kind: string, id: string, entity: T | null): T {
  if (entity === null) throw new DomainError('not_found', `${kind} not found: ${id}`)
  return entity
}

function storable(field: string, value: string): string {
  if (UNSTORABLE.test(value)) throw invalid(`${field} must not contain the NUL character or half a surrogate pair`)
  return value
}

function parseJson(field: string, text: string): JsonValue {
  try {
    const value: JsonValue = JSON.parse(text)
    return value
  } catch (error) {
    throw invalid(`${field} must be a JSON object: ${messageOf(error)}`, { cause: error })
  }
}

/** Throws for strings and numbers that are valid in JSON, but that the store would reject or change. */
export function assertStorable(field: string, value: JsonValue, depth = 0): void {
  if (depth > LIMITS.jsonDepth) throw invalid(`${field} is nested deeper than ${LIMITS.jsonDepth} levels`)
  if (typeof value === 'string') storable(field, value)
  else if (typeof value === 'number' && !Number.isFinite(value))
    throw invalid(`${field} contains a number that is too large`)
  else if (isJsonList(value)) for (const item of value) assertStorable(field, item, depth + 1)
  else if (isJsonObject(value)) {
    for (const [key, item] of Object.entries(value)) {
      storable(field, key)
      assertStorable(field, item, depth + 1)
    }
  }
}

function kindOf(value: JsonValue): string {
  if (value === null) return 'null'
  return isJsonList(value) ? 'an array' : `a ${typeof value}`
}
