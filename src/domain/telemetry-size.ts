import { isJsonList, isJsonObject, type JsonObject, type JsonValue } from './gateway.ts'

/** Bytes of a number, and of the tags and lengths around any value, at most. */
const NUMBER_BYTES = 9
const FRAME_BYTES = 12

/** The bytes that a value takes as google.protobuf.Value at most: a list of numbers takes five times its JSON. */
export function encodedBytes(value: JsonValue): number {
  if (typeof value === 'string') return FRAME_BYTES + Buffer.byteLength(value)
  if (isJsonObject(value)) {
    let bytes = FRAME_BYTES
    for (const [key, inner] of Object.entries(value)) {
      bytes += FRAME_BYTES + Buffer.byteLength(key) + encodedBytes(inner)
    }
    return bytes
  }
  if (isJsonList(value)) return value.reduce<number>((bytes, inner) => bytes + encodedBytes(inner), FRAME_BYTES)
  return FRAME_BYTES + NUMBER_BYTES
}

/**
 * The same with what lies deeper than so many levels as JSON text. A key with many dots is as many levels to the store, and
 * clients refuse messages that are nested too deep: one such envelope would take a whole page with it.
 */
export function withDepth(data: JsonObject, levels: number): JsonObject {
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, valueWithDepth(value, levels - 1)]))
}

function valueWithDepth(value: JsonValue, levels: number): JsonValue {
  if (typeof value !== 'object' || value === null) return value
  if (levels === 0) return JSON.stringify(value)
  if (isJsonObject(value)) return withDepth(value, levels)
  return isJsonList(value) ? value.map((inner) => valueWithDepth(inner, levels - 1)) : value
}
