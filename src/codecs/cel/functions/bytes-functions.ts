import { celFunc, celMap, CelScalar, celUint, mapType, type CelFunc, type CelInput, type CelMap } from '@bufbuild/cel'
import { spend } from './build-budget.ts'

const { BYTES, DOUBLE, DYN, INT, STRING, UINT } = CelScalar

type Read<Value> = (view: DataView, offset: number, littleEndian: boolean) => Value

/** Reads an unsigned integer of 24 bits. */
const readUint24: Read<number> = (view, offset, littleEndian) =>
  littleEndian
    ? view.getUint16(offset, true) + view.getUint8(offset + 2) * 0x1_00_00
    : view.getUint8(offset) * 0x1_00_00 + view.getUint16(offset + 1)

/** Reads a signed integer of 24 bits (two's complement). */
export const readInt24: Read<number> = (view, offset, littleEndian) =>
  (readUint24(view, offset, littleEndian) << 8) >> 8

function describeRange(from: number | bigint, to: number | bigint): string {
  return BigInt(to) - BigInt(from) === 1n
    ? `byte ${from} was requested`
    : `bytes ${from} to ${BigInt(to) - 1n} were requested`
}

/** Returns the index as a number. Throws an error that names the function if a byte of `from` ≤ index < `to` does not exist. */
function requireRange(name: string, bytes: Uint8Array, from: bigint, to: bigint): number {
  if (from < 0n) throw new Error(`${name}: ${describeRange(from, to)}, but the first byte is 0`)
  if (to <= bytes.length) return Number(from)
  const existing = bytes.length === 0 ? 'there are no bytes' : `there are only ${bytes.length}, counted from 0`
  throw new Error(`${name}: ${describeRange(from, to)}, but ${existing}`)
}

type NumberType = typeof INT | typeof UINT | typeof DOUBLE

function numberFunction<T extends NumberType>(
  name: string,
  size: number,
  type: T,
  read: (view: DataView, offset: number) => CelInput<T>,
): CelFunc {
  return celFunc(name, [BYTES, INT], type, (bytes, index) => {
    const offset = requireRange(name, bytes, index, index + BigInt(size))
    return read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset)
  })
}

/** Returns the function for big-endian and the one for little-endian numbers. */
function bothOrders<T extends NumberType>(name: string, size: number, type: T, read: Read<CelInput<T>>): CelFunc[] {
  return [
    numberFunction(`${name}be`, size, type, (view, offset) => read(view, offset, false)),
    numberFunction(`${name}le`, size, type, (view, offset) => read(view, offset, true)),
  ]
}

const numberFunctions = [
  numberFunction('uint8', 1, INT, (view, offset) => BigInt(view.getUint8(offset))),
  numberFunction('int8', 1, INT, (view, offset) => BigInt(view.getInt8(offset))),
  ...bothOrders('uint16', 2, INT, (view, offset, little) => BigInt(view.getUint16(offset, little))),
  ...bothOrders('int16', 2, INT, (view, offset, little) => BigInt(view.getInt16(offset, little))),
  ...bothOrders('uint24', 3, INT, (view, offset, little) => BigInt(readUint24(view, offset, little))),
  ...bothOrders('int24', 3, INT, (view, offset, little) => BigInt(readInt24(view, offset, little))),
  ...bothOrders('uint32', 4, INT, (view, offset, little) => BigInt(view.getUint32(offset, little))),
  ...bothOrders('int32', 4, INT, (view, offset, little) => BigInt(view.getInt32(offset, little))),
  ...bothOrders('uint64', 8, UINT, (view, offset, little) => celUint(view.getBigUint64(offset, little))),
  ...bothOrders('int64', 8, INT, (view, offset, little) => view.getBigInt64(offset, little)),
  ...bothOrders('float32', 4, DOUBLE, (view, offset, little) => view.getFloat32(offset, little)),
  ...bothOrders('float64', 8, DOUBLE, (view, offset, little) => view.getFloat64(offset, little)),
]

/** Returns `count` bits of a 64-bit integer as an unsigned integer; bit 0 is the least significant one. */
function bits(value: bigint, from: bigint, count: bigint, maxCount: bigint): bigint {
  if (from < 0n || count < 1n || count > maxCount || from + count > 64n)
    throw new Error(
      `bits: ${count} bits from bit ${from} were requested; expected 1 to ${maxCount} of the bits 0 to 63`,
    )
  return BigInt.asUintN(Number(count), value >> from)
}

function slice(bytes: Uint8Array, from: bigint, to: bigint): Uint8Array {
  if (from < 0n || from > to || to > bytes.length)
    throw new Error(`slice: bytes from ${from} to before ${to} were requested, but there are only ${bytes.length}`)
  return bytes.subarray(Number(from), Number(to))
}

function hex(bytes: Uint8Array): string {
  spend(bytes.length * 2)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

function reverse(bytes: Uint8Array): Uint8Array {
  spend(bytes.length)
  return bytes.toReversed()
}

/** Returns the data sizes by header, and the size of the headers, which the keys of the map contain as hexadecimal digits. */
function parseSizes(map: CelMap): { readonly sizes: ReadonlyMap<string, number>; readonly headerSize: number } {
  const sizes = new Map<string, number>()
  let digits = 0
  for (const [key, size] of map) {
    if (typeof key !== 'string' || !/^(?:[0-9a-f]{2})+$/i.test(key) || typeof size !== 'bigint' || size < 0n)
      throw new Error('tlv: expected a map of headers and sizes such as {"01": 2, "02": 1}')
    if (digits !== 0 && key.length !== digits) throw new Error('tlv: the headers in the map differ in length')
    digits = key.length
    sizes.set(key.toLowerCase(), Number(size))
  }
  if (digits === 0) throw new Error('tlv: the map of headers and sizes is empty')
  return { sizes, headerSize: digits / 2 }
}

/** Splits a sequence of fields, each a header and data whose size the header determines. The last field of a header wins. */
function splitFields(bytes: Uint8Array, map: CelMap): CelMap {
  const { sizes, headerSize } = parseSizes(map)
  const fields = new Map<string, Uint8Array>()
  for (let offset = 0; offset < bytes.length;) {
    const start = offset + headerSize
    const header = hex(bytes.subarray(offset, start))
    const size = start <= bytes.length ? sizes.get(header) : 0
    if (size === undefined) throw new Error(`tlv: unknown header "${header}" at byte ${offset}`)
    if (start + size > bytes.length)
      throw new Error(
        `tlv: the field "${header}" at byte ${offset} needs ${headerSize + size} bytes, got ${bytes.length - offset}`,
      )
    fields.set(header, bytes.subarray(start, start + size))
    offset = start + size
  }
  return celMap(fields)
}

function withoutNull(map: CelMap): CelMap {
  return celMap(new Map([...map].filter(([, value]) => value !== null)))
}

/** The functions that read numbers, bits and fields from bytes. */
export const bytesFunctions: readonly CelFunc[] = [
  ...numberFunctions,
  celFunc('bits', [INT, INT, INT], INT, (value, from, count) => bits(value, from, count, 63n)),
  celFunc('bits', [UINT, INT, INT], UINT, (value, from, count) => celUint(bits(value.value, from, count, 64n))),
  celFunc('slice', [BYTES, INT], BYTES, (bytes, from) => slice(bytes, from, BigInt(bytes.length))),
  celFunc('slice', [BYTES, INT, INT], BYTES, slice),
  celFunc('hex', [BYTES], STRING, hex),
  celFunc('reverse', [BYTES], BYTES, reverse),
  celFunc('tlv', [BYTES, mapType(STRING, INT)], mapType(STRING, BYTES), splitFields),
  celFunc('without_null', [mapType(DYN, DYN)], mapType(DYN, DYN), withoutNull),
]
