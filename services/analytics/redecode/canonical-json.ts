import { isJsonList, isJsonObject, type JsonObject, type JsonValue } from '../../../src/domain/entities.ts'

/**
 * Returns the same text for data that a JSON column of ClickHouse cannot distinguish: the order of keys, null and empty objects, and
 * `{"a.b": 1}` instead of `{"a": {"b": 1}}`.
 */
export function canonicalJson(data: JsonObject): string {
  return JSON.stringify(Object.fromEntries(pathsOf(data, '').toSorted(([a], [b]) => (a < b ? -1 : 1))))
}

function pathsOf(object: JsonObject, prefix: string): (readonly [string, JsonValue])[] {
  return Object.entries(object).flatMap(([key, value]) => {
    if (value === null) return []
    if (isJsonObject(value)) return pathsOf(value, `${prefix}${key}.`)
    return [[`${prefix}${key}`, isJsonList(value) ? value.map(ofElement) : value] as const]
  })
}

function ofElement(value: JsonValue): JsonValue {
  if (isJsonList(value)) return value.map(ofElement)
  return isJsonObject(value) ? Object.fromEntries(pathsOf(value, '')) : value
}
