import { isMessage, toJson, type Message } from '@bufbuild/protobuf'
import { DurationSchema, TimestampSchema } from '@bufbuild/protobuf/wkt'
import {
  celType,
  isCelList,
  isCelMap,
  isCelType,
  isCelUint,
  type CelList,
  type CelMap,
  type CelValue,
} from '@bufbuild/cel'
import type { Decoded } from '../../domain/codecs/codec.ts'
import type { JsonObject, JsonValue } from '../../domain/entities.ts'
import { RESULT_LIMITS, truncate } from '../evaluation.ts'

const LARGEST_EXACT_INTEGER = 2n ** 53n

/** The result cannot be represented as JSON; the message has the path and the reason. */
class ResultError extends Error {
  override readonly name = 'ResultError'
}

/**
 * Converts a CEL map, or a list, to JSON: int and uint → number, beyond 2^53 string; finite double → number; bytes → base64; timestamp →
 * RFC 3339; duration → seconds (`"1.5s"`); map keys → strings. Throws a ResultError for everything else. `size` is the
 * approximate number of JSON bytes.
 */
export function resultToJson(value: CelValue): { readonly data: Decoded; readonly size: number } {
  const writer = new Writer()
  if (isCelMap(value)) return { data: writer.map(value, '', 0), size: writer.size }
  if (isCelList(value)) return { data: writer.list(value, '', 0), size: writer.size }
  throw new ResultError(`the result is of type ${celType(value).name}; expected a map or a list of readings`)
}

class Writer {
  size = 0

  map(map: CelMap, path: string, depth: number): JsonObject {
    requireDepth(path, depth)
    const entries = new Map<string, JsonValue>()
    for (const [celKey, value] of map) {
      const key = isCelUint(celKey) ? String(celKey.value) : String(celKey)
      const inner = path === '' ? key : `${path}.${key}`
      if (entries.has(key)) throw new ResultError(`two keys of the map are "${key}" as text, at ${inner}`)
      this.#spend(key.length + 4)
      entries.set(key, this.#value(value, inner, depth + 1))
    }
    return Object.fromEntries(entries)
  }

  list(list: CelList, path: string, depth: number): readonly JsonValue[] {
    requireDepth(path, depth)
    return Array.from(list, (element, index) => this.#value(element, `${path}[${index}]`, depth + 1))
  }

  #value(value: CelValue, path: string, depth: number): JsonValue {
    if (typeof value === 'string') {
      this.#spend(value.length + 2)
      return value
    }
    this.#spend(8)
    if (value === null || typeof value === 'boolean') return value
    if (typeof value === 'bigint') return integer(value)
    if (typeof value === 'number') return finite(value, path)
    return this.#object(value, path, depth)
  }

  #object(value: Extract<CelValue, object>, path: string, depth: number): JsonValue {
    if (isCelUint(value)) return integer(value.value)
    if (isCelMap(value)) return this.map(value, path, depth)
    if (value instanceof Uint8Array) {
      this.#spend((value.length * 4) / 3)
      return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
    }
    if (isCelList(value)) return this.list(value, path, depth)
    if (isCelType(value)) throw new ResultError(`${path} is the type ${value.name}, which has no JSON form`)
    return message(value.message, path)
  }

  #spend(bytes: number): void {
    this.size += bytes
    if (this.size > RESULT_LIMITS.bytes) throw new ResultError(`the result is larger than ${RESULT_LIMITS.bytes} bytes`)
  }
}

function requireDepth(path: string, depth: number): void {
  if (depth < RESULT_LIMITS.depth) return
  throw new ResultError(`the result is nested deeper than ${RESULT_LIMITS.depth} levels, at ${truncate(path, 80)}`)
}

function integer(value: bigint): number | string {
  const exact = value <= LARGEST_EXACT_INTEGER && value >= -LARGEST_EXACT_INTEGER
  return exact ? Number(value) : value.toString()
}

function finite(value: number, path: string): number {
  if (Number.isFinite(value)) return value
  throw new ResultError(`${truncate(path, 80)} is ${value}, which JSON cannot represent`)
}

function message(value: Message, path: string): JsonValue {
  try {
    if (isMessage(value, TimestampSchema)) return toJson(TimestampSchema, value)
    if (isMessage(value, DurationSchema)) return toJson(DurationSchema, value)
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause)
    throw new ResultError(`${truncate(path, 80)} is out of range: ${detail}`, { cause })
  }
  throw new ResultError(`${truncate(path, 80)} is a ${value.$typeName}, which has no JSON form`)
}
