import type { JsonObject, JsonValue } from '../domain/gateway.ts'

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
