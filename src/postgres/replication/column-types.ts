import { parseArray, type ArrayValue } from './array-text.ts'
import { timestampAt, parseTimestamp } from './timestamp-text.ts'

/**
 * A column's value, exact:
 * - smallint, integer, oid, real, double precision → number (NaN and infinities included)
 * - bigint → bigint · numeric, money → string, every digit kept
 * - boolean → boolean · bytea → Uint8Array
 * - timestamptz → bigint, an Instant; `INFINITE_FUTURE` and `INFINITE_PAST` for the infinities
 * - json, jsonb → string, the JSON text, so that no number in it loses digits
 * - arrays of these → nested arrays
 * - everything else (text, uuid, date, time, interval, enums, domains over text, unknown types) → string, as PostgreSQL writes it
 */
export type ColumnValue = Scalar | null | ArrayValue<Scalar>
type Scalar = string | number | bigint | boolean | Uint8Array

/** Reads the text form of a value in `buffer[start, end)`. */
export type ColumnDecoder = (buffer: Buffer, start: number, end: number) => ColumnValue

interface ScalarType {
  readonly fromText: (text: string) => Scalar
  /** When there is a faster way than through a string. */
  readonly fromBytes?: ColumnDecoder
}

const asText: ColumnDecoder = (buffer, start, end) => buffer.toString('utf8', start, end)

const text: ScalarType = { fromText: (value) => value, fromBytes: asText }
const number: ScalarType = { fromText: Number }
const bigint: ScalarType = { fromText: BigInt }
const boolean: ScalarType = { fromText: (value) => value === 't', fromBytes: (buffer, start) => buffer[start] === 0x74 }
const timestamptz: ScalarType = { fromText: parseTimestamp, fromBytes: timestampAt }
const bytea: ScalarType = { fromText: bytesFromHex }

/** By the name that both pg_type and the stream's Type message use; the object identifiers of PostgreSQL's catalogue never change. */
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

const BY_OID: ReadonlyMap<number, ColumnDecoder> = new Map(
  TYPES.flatMap(({ oid, arrayOid, type }) => [
    [oid, scalarDecoder(type)],
    [arrayOid, arrayDecoder(type)],
  ]),
)

const BY_NAME: ReadonlyMap<string, ColumnDecoder> = new Map(
  TYPES.flatMap(({ name, type }) => [
    [name, scalarDecoder(type)],
    [`_${name}`, arrayDecoder(type)],
  ]),
)

/**
 * The decoder for a column's type. `baseName` is the name of the type beneath, when the stream has told one in PostgreSQL's own
 * schema: so a domain over timestamptz is read as a timestamptz. A type that is not known is read as text.
 */
export function decoderFor(typeOid: number, baseName?: string): ColumnDecoder {
  return BY_OID.get(typeOid) ?? (baseName === undefined ? undefined : BY_NAME.get(baseName)) ?? asText
}

function scalarDecoder(type: ScalarType): ColumnDecoder {
  const { fromText } = type
  return type.fromBytes ?? ((buffer, start, end) => fromText(buffer.toString('latin1', start, end)))
}

function arrayDecoder(type: ScalarType): ColumnDecoder {
  const { fromText } = type
  return (buffer, start, end) => parseArray(buffer.toString('utf8', start, end), fromText)
}

/** `\x0102`: the form of `bytea_output = hex`. */
function bytesFromHex(value: string): Uint8Array {
  if (!value.startsWith('\\x')) throw new RangeError('not a bytea in hexadecimal form')
  return Buffer.from(value.slice(2), 'hex')
}
