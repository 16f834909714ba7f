import type { JsonObject, JsonValue } from '../../domain/entities.ts'
import { RESULT_LIMITS } from '../evaluation.ts'
import { VALUE_BYTES } from './sandbox-protocol.ts'

/** The version of QuickJS's binary format, and its tags of values (`BC_TAG_…` in quickjs.c). */
const VERSION = 5
const TAG = {
  null: 1,
  undefined: 2,
  false: 3,
  true: 4,
  int32: 5,
  float64: 6,
  string: 7,
  object: 8,
  array: 9,
} as const

export interface ReadResult {
  readonly value: JsonValue
  /** Approximate bytes as JSON, counted as for CEL. */
  readonly size: number
}

/** Thrown for a value that the fast way does not convert. */
const UNSUPPORTED = new Error('unsupported value')

/**
 * Reads a value in QuickJS's binary format, which is several times faster than JSON. Returns undefined for everything but plain
 * values within the limits: those take the slow way, which converts or rejects them with the path.
 */
export function readResult(bytes: Buffer, start: number): ReadResult | undefined {
  const reader = new ResultReader(bytes, start)
  try {
    return { value: reader.read(), size: reader.size }
  } catch (error) {
    if (error === UNSUPPORTED) return undefined
    throw error
  }
}

class ResultReader {
  /** Without the result itself. */
  size = -VALUE_BYTES
  readonly #bytes: Buffer
  #at: number
  readonly #atoms: string[] = []

  constructor(bytes: Buffer, start: number) {
    this.#bytes = bytes
    this.#at = start
  }

  read(): JsonValue {
    if (this.#byte() !== VERSION) throw UNSUPPORTED
    for (let left = this.#leb128(); left > 0; left--) this.#atoms.push(this.#text())
    return this.#value(0) ?? null
  }

  #value(depth: number): JsonValue | undefined {
    const tag = this.#byte()
    if (tag === TAG.undefined) return undefined
    if (tag === TAG.string) {
      const text = this.#text()
      this.#spend(text.length + 2)
      return text
    }
    this.#spend(VALUE_BYTES)
    switch (tag) {
      case TAG.null:
        return null
      case TAG.false:
        return false
      case TAG.true:
        return true
      case TAG.int32: {
        const zigzag = this.#leb128()
        return (zigzag >>> 1) ^ -(zigzag & 1)
      }
      case TAG.float64:
        return this.#float64()
      case TAG.object:
        return this.#object(depth)
      case TAG.array:
        return this.#array(depth)
      default:
        throw UNSUPPORTED
    }
  }

  #object(depth: number): JsonObject {
    if (depth >= RESULT_LIMITS.depth) throw UNSUPPORTED
    const object: Record<string, JsonValue> = {}
    for (let left = this.#leb128(); left > 0; left--) {
      const key = this.#key()
      // An assignment would set the prototype.
      if (key === '__proto__') throw UNSUPPORTED
      this.#spend(key.length + 4)
      const value = this.#value(depth + 1)
      if (value !== undefined) object[key] = value
    }
    return object
  }

  #array(depth: number): JsonValue[] {
    if (depth >= RESULT_LIMITS.depth) throw UNSUPPORTED
    const array: JsonValue[] = []
    for (let left = this.#leb128(); left > 0; left--) {
      const value = this.#value(depth + 1)
      if (value === undefined) this.#spend(4)
      array.push(value ?? null)
    }
    return array
  }

  /** Reads the name of a property: an integer, or the index of an atom, which begins at 1. */
  #key(): string {
    const key = this.#leb128()
    if ((key & 1) === 1) return String(key >>> 1)
    const atom = this.#atoms[(key >>> 1) - 1]
    if (atom === undefined) throw UNSUPPORTED
    return atom
  }

  #float64(): number {
    const value = this.#bytes.readDoubleLE(this.#at)
    this.#at += 8
    if (!Number.isFinite(value)) throw UNSUPPORTED
    return value
  }

  /** Reads a text: Latin-1, or UTF-16, in which a surrogate can be alone. */
  #text(): string {
    const header = this.#leb128()
    const isWide = (header & 1) === 1
    const start = this.#at
    this.#at += isWide ? (header >>> 1) * 2 : header >>> 1
    if (!isWide) return this.#bytes.toString('latin1', start, this.#at)
    const text = this.#bytes.toString('utf16le', start, this.#at)
    if (/\p{Surrogate}/u.test(text)) throw UNSUPPORTED
    return text
  }

  #byte(): number {
    const byte = this.#bytes[this.#at]
    if (byte === undefined) throw UNSUPPORTED
    this.#at++
    return byte
  }

  #leb128(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.#byte()
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value >>> 0
    }
  }

  #spend(bytes: number): void {
    this.size += bytes
    if (this.size > RESULT_LIMITS.bytes) throw UNSUPPORTED
  }
}
