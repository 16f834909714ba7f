import type { Instant } from '../domain/instant.ts'
import { splitInstant } from './timestamp.ts'

const VARINT = 0
const BIT_64 = 1
const LENGTH_DELIMITED = 2
/** The maximum size of a tag and a length, each a varint of a 32-bit number. */
const MAX_PREFIX_BYTES = 10
const MAX_UTF8_BYTES_PER_UNIT = 3
const SHORT = 0x80
const DOUBLE_BYTES = 8
const FIRST_SIZE = 4096
/** The size from which a message gets a buffer of its own. */
const LARGE = 1024 * 1024

/**
 * Writes a protobuf message field by field in the order of the calls; omits default values as proto3 requires, except in a
 * oneof. Equivalent to `toBinary` for strings, bytes, enums and timestamps, but several times faster because it creates no message
 * object. Field numbers must be below 16. A writer is reused for consecutive messages.
 */
export class MessageWriter {
  #buffer = Buffer.allocUnsafe(FIRST_SIZE)
  #length = 0

  /** Discards an unfinished message. */
  begin(): this {
    this.#length = 0
    return this
  }

  string(field: number, value: string | undefined): this {
    return value === undefined || value === '' ? this : this.text(field, value)
  }

  /** Writes a string of a oneof. */
  text(field: number, value: string): this {
    const most = value.length < LARGE ? value.length * MAX_UTF8_BYTES_PER_UNIT : Buffer.byteLength(value)
    this.#reserve(MAX_PREFIX_BYTES + most)
    const buffer = this.#buffer
    buffer[this.#length++] = (field << 3) | LENGTH_DELIMITED
    // Assume that the length takes one byte, as for nearly all strings.
    const bytes = buffer.write(value, this.#length + 1)
    if (bytes < SHORT) {
      buffer[this.#length] = bytes
      this.#length += 1 + bytes
      return this
    }
    this.#varint(bytes)
    this.#length += buffer.write(value, this.#length)
    return this
  }

  bytes(field: number, value: Uint8Array): this {
    if (value.length === 0) return this
    this.#reserve(MAX_PREFIX_BYTES + value.length)
    this.#buffer[this.#length++] = (field << 3) | LENGTH_DELIMITED
    this.#varint(value.length)
    this.#buffer.set(value, this.#length)
    this.#length += value.length
    return this
  }

  /** Writes an unsigned integer up to 2^53. */
  uint(field: number, value: number): this {
    return value === 0 ? this : this.choice(field, value)
  }

  enum(field: number, value: number): this {
    return value === 0 ? this : this.choice(field, value)
  }

  /** Writes an enum or a bool of a oneof, or an optional uint32. */
  choice(field: number, value: number): this {
    this.#reserve(MAX_PREFIX_BYTES)
    this.#buffer[this.#length++] = (field << 3) | VARINT
    this.#varint(value)
    return this
  }

  /** Writes a double of a oneof. */
  double(field: number, value: number): this {
    this.#reserve(1 + DOUBLE_BYTES)
    this.#buffer[this.#length] = (field << 3) | BIT_64
    this.#length = this.#buffer.writeDoubleLE(value, this.#length + 1)
    return this
  }

  /** Opens a nested message; pass the returned value to `close`. */
  open(field: number): number {
    this.#reserve(MAX_PREFIX_BYTES)
    this.#buffer[this.#length] = (field << 3) | LENGTH_DELIMITED
    this.#length += 2
    return this.#length
  }

  close(start: number): this {
    const length = this.#length - start
    if (length < SHORT) {
      this.#buffer[start - 1] = length
      return this
    }
    // `open` reserved one byte for the length, which can take up to five.
    this.#reserve(MAX_PREFIX_BYTES)
    this.#length = start - 1
    this.#buffer.copyWithin(start - 1 + lengthOfVarint(length), start, start + length)
    this.#varint(length)
    this.#length += length
    return this
  }

  timestamp(field: number, value: Instant | undefined): this {
    if (value === undefined) return this
    this.#reserve(3 * MAX_PREFIX_BYTES)
    const { seconds, nanos } = splitInstant(value)
    this.#buffer[this.#length++] = (field << 3) | LENGTH_DELIMITED
    const start = (this.#length += 1)
    if (seconds !== 0n) {
      this.#buffer[this.#length++] = (1 << 3) | VARINT
      this.#int64(seconds)
    }
    if (nanos !== 0) {
      this.#buffer[this.#length++] = (2 << 3) | VARINT
      this.#varint(nanos)
    }
    this.#buffer[start - 1] = this.#length - start
    return this
  }

  /** Returns the message, which later messages do not change. */
  finish(): Uint8Array {
    const message = this.#buffer.subarray(0, this.#length)
    if (this.#length < LARGE) return Buffer.from(message)
    this.#buffer = Buffer.allocUnsafe(FIRST_SIZE)
    return message
  }

  /** Writes a varint, which must not be negative. */
  #varint(value: number): void {
    let rest = value
    while (rest >= SHORT) {
      this.#buffer[this.#length++] = (rest % SHORT) | SHORT
      rest = Math.floor(rest / SHORT)
    }
    this.#buffer[this.#length++] = rest
  }

  #int64(value: bigint): void {
    if (value >= 0n) return this.#varint(Number(value))
    let rest = BigInt.asUintN(64, value)
    while (rest >= 0x80n) {
      this.#buffer[this.#length++] = Number(rest & 0x7fn) | SHORT
      rest >>= 7n
    }
    this.#buffer[this.#length++] = Number(rest)
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bytes))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }
}

function lengthOfVarint(value: number): number {
  let length = 1
  for (let rest = value; rest >= SHORT; rest = Math.floor(rest / SHORT)) length += 1
  return length
}
