import type { Instant } from '../../domain/instant.ts'

/**
 * A column's value, exact:
 * - smallint, integer, oid, real, double precision → number (NaN and infinities included)
 * - bigint → bigint · numeric, money → string, every digit kept
 * - boolean → boolean · bytea → Uint8Array
 * - timestamptz → bigint, an Instant; `INFINITE_FUTURE` and `INFINITE_PAST` for the infinities
 * - json, jsonb → string, the JSON text, so that no number in it loses digits
 * - arrays of these → nested arrays
 * - everything else (text, uuid, date, time, interval, enums, domains over text, unknown types) → string, in PostgreSQL's format
 */
export type ColumnValue = Scalar | null | ArrayValue<Scalar>
type Scalar = string | number | bigint | boolean | Uint8Array

/** Decodes the text format of a value in `buffer[start, end)`. */
export type ColumnDecoder = (buffer: Buffer, start: number, end: number) => ColumnValue

interface ScalarType {
  readonly fromText: (text: string) => Scalar
  /** A faster decoder than through a string, if there is one. */
  readonly fromBytes?: ColumnDecoder
}

const asText: ColumnDecoder = (buffer, start, end) => buffer.toString('utf8', start, end)

const text: ScalarType = { fromText: (value) => value, fromBytes: asText }
const number: ScalarType = { fromText: Number }
const bigint: ScalarType = { fromText: BigInt }
const boolean: ScalarType = { fromText: (value) => value === 't', fromBytes: (buffer, start) => buffer[start] === 0x74 }
const timestamptz: ScalarType = { fromText: parseTimestamp, fromBytes: timestampAt }
const bytea: ScalarType = { fromText: bytesFromHex }

/** Names as in pg_type and in the stream's Type message; the OIDs of built-in types are stable. */
const TYPES: readonly { name: string; oid: number; arrayOid: number; type: ScalarType }[] = [
  { name: 'bool', oid: 16, arrayOid: 1000, type: boolean },
  { name: 'bytea', oid: 17, arrayOid: 1001, type: bytea },
  { name: 'char', oid: 18, arrayOid: 1002, type: text },
  { name: 'name', oid: 19, arrayOid: 1003, type: text },
  { name: 'int8', oid: 20, arrayOid: 1016, type: bigint },
  { name: 'int2', oid: 21, arrayOid: 1005, type: number },
  { name: 'int4', oid: 23, arrayOid: 1007, type: number },
  { name: 'text', oid: 25, arrayOid: 1009, type: text },
  { name: 'oid', oid: 26, arrayOid: 1028, type: number },
  { name: 'json', oid: 114, arrayOid: 199, type: text },
  { name: 'float4', oid: 700, arrayOid: 1021, type: number },
  { name: 'float8', oid: 701, arrayOid: 1022, type: number },
  { name: 'money', oid: 790, arrayOid: 791, type: text },
  { name: 'bpchar', oid: 1042, arrayOid: 1014, type: text },
  { name: 'varchar', oid: 1043, arrayOid: 1015, type: text },
  { name: 'date', oid: 1082, arrayOid: 1182, type: text },
  { name: 'time', oid: 1083, arrayOid: 1183, type: text },
  { name: 'timestamp', oid: 1114, arrayOid: 1115, type: text },
  { name: 'timestamptz', oid: 1184, arrayOid: 1185, type: timestamptz },
  { name: 'interval', oid: 1186, arrayOid: 1187, type: text },
  { name: 'timetz', oid: 1266, arrayOid: 1270, type: text },
  { name: 'numeric', oid: 1700, arrayOid: 1231, type: text },
  { name: 'uuid', oid: 2950, arrayOid: 2951, type: text },
  { name: 'jsonb', oid: 3802, arrayOid: 3807, type: text },
]

/** The decoders of text that is in a string already, by OID. */
const TEXT_DECODERS: ReadonlyMap<number, (text: string) => ColumnValue> = new Map(
  TYPES.flatMap(({ oid, arrayOid, type: { fromText } }): [number, (text: string) => ColumnValue][] => [
    [oid, fromText],
    [arrayOid, (text) => parseArray(text, fromText)],
  ]),
)

/** Returns the decoder for a column's type, for a value that is a string. A text is not copied. An unknown type is decoded as text. */
export function textDecoderFor(typeOid: number): (text: string) => ColumnValue {
  return TEXT_DECODERS.get(typeOid) ?? ((text) => text)
}

/** The decoders by OID and by name. */
const DECODERS: ReadonlyMap<number | string, ColumnDecoder> = new Map(
  TYPES.flatMap(({ name, oid, arrayOid, type }) => {
    const [scalar, array] = [scalarDecoder(type), arrayDecoder(type)]
    const entries: [number | string, ColumnDecoder][] = [
      [oid, scalar],
      [name, scalar],
      [arrayOid, array],
      [`_${name}`, array],
    ]
    return entries
  }),
)

/**
 * Returns the decoder for a column's type. `baseName` is the name of the base type in pg_catalog, if the stream described one: a domain
 * over timestamptz is decoded as a timestamptz. An unknown type is decoded as text.
 */
export function decoderFor(typeOid: number, baseName?: string): ColumnDecoder {
  return DECODERS.get(typeOid) ?? DECODERS.get(baseName ?? typeOid) ?? asText
}

function scalarDecoder(type: ScalarType): ColumnDecoder {
  const { fromText } = type
  return type.fromBytes ?? ((buffer, start, end) => fromText(buffer.toString('latin1', start, end)))
}

function arrayDecoder(type: ScalarType): ColumnDecoder {
  const { fromText } = type
  return (buffer, start, end) => parseArray(buffer.toString('utf8', start, end), fromText)
}

/** Decodes `\x0102`, the format of `bytea_output = hex`. */
function bytesFromHex(value: string): Uint8Array {
  if (!value.startsWith('\\x')) throw new RangeError('not a bytea in hexadecimal format')
  return Buffer.from(value.slice(2), 'hex')
}

/** `infinity`, as PostgreSQL represents it. */
export const INFINITE_FUTURE: Instant = 2n ** 63n - 1n
/** `-infinity`, as PostgreSQL represents it. */
export const INFINITE_PAST: Instant = -(2n ** 63n)

const PATTERN =
  /^(\d{4,})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?( BC)?$/

const ZERO = 0x30
/** `2026-01-02 03:04:05` and `+00` */
const SECONDS_LENGTH = 19
const UTC_LENGTH = 3
/** The limit of seconds above which a number cannot represent microseconds exactly. */
const EXACT_SECONDS = 9_000_000_000

/**
 * Parses the timestamptz in `buffer[start, end)`, in DateStyle ISO. The usual format, a four-digit year in UTC, is parsed from the
 * bytes. Throws a RangeError for anything else.
 */
export function timestampAt(buffer: Buffer, start: number, end: number): Instant {
  const length = end - start
  const isUtc = buffer[end - 3] === 0x2b && buffer[end - 2] === ZERO && buffer[end - 1] === ZERO
  const isPlain = isUtc && buffer[start + 4] === 0x2d && buffer[start + 10] === 0x20
  if (!isPlain || (length !== SECONDS_LENGTH + UTC_LENGTH && buffer[start + SECONDS_LENGTH] !== 0x2e)) {
    return parseTimestamp(buffer.toString('latin1', start, end))
  }
  const day = daysFromCivil(
    pair(buffer, start) * 100 + pair(buffer, start + 2),
    pair(buffer, start + 5),
    pair(buffer, start + 8),
  )
  const time = pair(buffer, start + 11) * 3600 + pair(buffer, start + 14) * 60 + pair(buffer, start + 17)
  return microseconds(day * 86_400 + time, fraction(buffer, start + SECONDS_LENGTH + 1, end - UTC_LENGTH))
}

/** Parses a timestamptz with any year, zone, `BC` or `infinity`. Throws a RangeError for other text. */
export function parseTimestamp(text: string): Instant {
  if (text === 'infinity') return INFINITE_FUTURE
  if (text === '-infinity') return INFINITE_PAST
  const match = PATTERN.exec(text)
  if (match === null) throw new RangeError(`not a timestamp: ${JSON.stringify(text)}`)
  const [, year, month, day, hour, minute, second, micros = '', sign, zoneHour, zoneMinute, zoneSecond, era] = match
  const astronomicalYear = era === undefined ? Number(year) : 1 - Number(year)
  const days = daysFromCivil(astronomicalYear, Number(month), Number(day))
  const zone = Number(zoneHour) * 3600 + Number(zoneMinute ?? 0) * 60 + Number(zoneSecond ?? 0)
  const seconds = days * 86_400 + Number(hour) * 3600 + Number(minute) * 60 + Number(second)
  return microseconds(sign === '-' ? seconds + zone : seconds - zone, Number(micros.padEnd(6, '0')))
}

/** Returns the days from 1970-01-01 in the proleptic Gregorian calendar; year 0 is 1 BC. */
function daysFromCivil(year: number, month: number, day: number): number {
  // Years start in March, so the leap day is the last day.
  const shifted = month <= 2 ? year - 1 : year
  const era = Math.floor(shifted / 400)
  const yearOfEra = shifted - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

function microseconds(seconds: number, micros: number): Instant {
  if (Math.abs(seconds) < EXACT_SECONDS) return BigInt(seconds * 1_000_000 + micros)
  return BigInt(seconds) * 1_000_000n + BigInt(micros)
}

function pair(buffer: Buffer, at: number): number {
  return digit(buffer, at) * 10 + digit(buffer, at + 1)
}

function digit(buffer: Buffer, at: number): number {
  const value = (buffer[at] ?? 0) - ZERO
  if (value < 0 || value > 9) throw new RangeError(`not a timestamp: a digit was expected at byte ${at}`)
  return value
}

function fraction(buffer: Buffer, start: number, end: number): number {
  let value = 0
  for (let at = start; at < start + 6; at += 1) value = value * 10 + (at < end ? digit(buffer, at) : 0)
  return value
}

type ArrayValue<T> = readonly (T | null | ArrayValue<T>)[]

const BOUNDS = /^(\[-?\d+:-?\d+\])+=/
const QUOTED = /"[^"\\]*(?:\\.[^"\\]*)*"/sy
const ESCAPED = /\\(.)/gs
const BARE = /[^,}]+/y

/**
 * Parses an array, nested, with or without bounds (which are dropped): `{1,NULL,"a \"b\""}`, `[0:1]={…}`. Throws a RangeError
 * for other text.
 */
export function parseArray<T>(text: string, element: (text: string) => T): ArrayValue<T> {
  const start = BOUNDS.exec(text)?.[0].length ?? 0
  const cursor: Cursor = { text, at: start }
  const value = readArray(cursor, element)
  if (cursor.at !== text.length) throw notAnArray(text)
  return value
}

interface Cursor {
  readonly text: string
  at: number
}

function readArray<T>(cursor: Cursor, element: (text: string) => T): ArrayValue<T> {
  if (cursor.text[cursor.at] !== '{') throw notAnArray(cursor.text)
  cursor.at += 1
  const items: (T | null | ArrayValue<T>)[] = []
  if (cursor.text[cursor.at] === '}') {
    cursor.at += 1
    return items
  }
  for (;;) {
    items.push(readItem(cursor, element))
    const after = cursor.text[cursor.at]
    cursor.at += 1
    if (after === '}') return items
    if (after !== ',') throw notAnArray(cursor.text)
  }
}

function readItem<T>(cursor: Cursor, element: (text: string) => T): T | null | ArrayValue<T> {
  const first = cursor.text[cursor.at]
  if (first === '{') return readArray(cursor, element)
  if (first === '"') return element(readToken(cursor, QUOTED).slice(1, -1).replaceAll(ESCAPED, '$1'))
  const bare = readToken(cursor, BARE)
  return bare === 'NULL' ? null : element(bare)
}

function readToken(cursor: Cursor, pattern: RegExp): string {
  pattern.lastIndex = cursor.at
  const [token] = pattern.exec(cursor.text) ?? []
  if (token === undefined) throw notAnArray(cursor.text)
  cursor.at += token.length
  return token
}

function notAnArray(text: string): RangeError {
  return new RangeError(`not an array: ${JSON.stringify(text.slice(0, 100))}`)
}

/** Options that make the session independent of the settings of server and role; PostgreSQL's own subscriber sets those of the output. */
export const SESSION_OPTIONS = [
  'datestyle=ISO',
  'timezone=UTC',
  'intervalstyle=postgres',
  'extra_float_digits=3',
  'bytea_output=hex',
  // The statement of a snapshot waits while NATS is away.
  'statement_timeout=0',
]
  .map((setting) => `-c ${setting}`)
  .join(' ')
