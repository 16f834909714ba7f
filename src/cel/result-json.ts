import { celType, isCelList, isCelMap, isCelType, isCelUint, type CelMap, type CelValue } from '@bufbuild/cel'
import { toJson } from '@bufbuild/protobuf'
import { DurationSchema, TimestampSchema, type Duration, type Timestamp } from '@bufbuild/protobuf/wkt'
import type { JsonObject, JsonValue } from '../domain/entities.ts'

/** Levels of maps and lists in a result. A protobuf Struct needs three messages for each, and readers stop at 100. */
const MAX_RESULT_DEPTH = 32
/** About how much JSON a result may be; a message of the broker holds no more. */
const MAX_RESULT_BYTES = 1024 * 1024

const LARGEST_EXACT_INTEGER = 2n ** 53n

/** The result cannot be JSON; the message says which part, as a path, and why. */
class ResultError extends Error {
  override readonly name = 'ResultError'
}

/**
 * A CEL result as JSON: int and uint → number, beyond 2^53 as a string; finite doubles; bytes → base64; timestamp → RFC 3339;
 * duration → seconds (`"1.5s"`); map keys → strings. Throws a ResultError for everything else, and for what is not a map.
 * `size` is about how many bytes of JSON it makes.
 */
export function resultToJson(value: CelValue): { readonly data: JsonObject; readonly size: number } {
  if (!isCelMap(value)) throw new ResultError(`the result is a ${typeName(value)}; a map was expected`)
  const writer = new Writer()
  return { data: writer.map(value, '', 0), size: writer.size }
}

class Writer {
  #size = 0

  get size(): number {
    return this.#size
  }

  map(map: CelMap, path: string, depth: number): JsonObject {
    this.#enter(path, depth)
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
    if (isCelList(value)) {
      this.#enter(path, depth)
      return Array.from(value, (element, index) => this.#value(element, `${path}[${index}]`, depth + 1))
    }
    if (isCelType(value)) throw new ResultError(`${path} is the type ${value.name}, which has no JSON form`)
    return message(value.message, path)
  }

  #enter(path: string, depth: number): void {
    if (depth >= MAX_RESULT_DEPTH)
      throw new ResultError(`the result is nested deeper than ${MAX_RESULT_DEPTH} levels, at ${shorten(path)}`)
  }

  #spend(bytes: number): void {
    this.#size += bytes
    if (this.#size > MAX_RESULT_BYTES) throw new ResultError(`the result is larger than ${MAX_RESULT_BYTES} bytes`)
  }
}

function integer(value: bigint): number | string {
  const exact = value <= LARGEST_EXACT_INTEGER && value >= -LARGEST_EXACT_INTEGER
  return exact ? Number(value) : value.toString()
}

function finite(value: number, path: string): number {
  if (Number.isFinite(value)) return value
  throw new ResultError(`${shorten(path)} is ${value}, which JSON cannot say`)
}

function message(value: { readonly $typeName: string }, path: string): JsonValue {
  try {
    if (isTimestamp(value)) return toJson(TimestampSchema, value)
    if (isDuration(value)) return toJson(DurationSchema, value)
  } catch (error) {
    throw new ResultError(`${shorten(path)} is out of range: ${error instanceof Error ? error.message : String(error)}`)
  }
  throw new ResultError(`${shorten(path)} is a ${value.$typeName}, which has no JSON form here`)
}

function isTimestamp(value: { readonly $typeName: string }): value is Timestamp {
  return value.$typeName === TimestampSchema.typeName
}

function isDuration(value: { readonly $typeName: string }): value is Duration {
  return value.$typeName === DurationSchema.typeName
}

function typeName(value: CelValue): string {
  return celType(value).name
}

/** A path is made of the device's own keys and so may be as long as the result. */
function shorten(path: string): string {
  return path.length <= 80 ? path : `${path.slice(0, 79)}…`
}
