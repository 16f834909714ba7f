import { ReplicationError, messageOf } from '../../domain/errors.ts'
import type { Instant } from '../../domain/instant.ts'
import {
  Row,
  UNCHANGED,
  type Lsn,
  type Relation,
  type RelationColumn,
  type RowLayout,
  type RowValue,
} from './change.ts'
import { decoderFor, type ColumnDecoder } from './column-types.ts'

export type RowMessage =
  | { readonly kind: 'insert'; readonly relation: Relation; readonly old: null; readonly new: Row }
  /** `old` is null if it was not requested, or not sent: the replica identity is not full and no key column changed. */
  | { readonly kind: 'update'; readonly relation: Relation; readonly old: Row | null; readonly new: Row }
  | { readonly kind: 'delete'; readonly relation: Relation; readonly old: Row; readonly new: null }

/** A message of the plugin pgoutput, protocol version 1, reduced to the fields that are used. */
export type PgoutputMessage =
  /** `commitLsn`: the start of the commit record. */
  | { readonly kind: 'begin'; readonly commitLsn: Lsn; readonly commitTime: Instant; readonly xid: number }
  /** `endLsn`: the end of the commit record, the position to confirm. */
  | { readonly kind: 'commit'; readonly endLsn: Lsn }
  | { readonly kind: 'relation'; readonly relation: Relation }
  | RowMessage
  | { readonly kind: 'truncate'; readonly relations: readonly Relation[] }
  | { readonly kind: 'message'; readonly prefix: string }
  /** A type or an origin. */
  | typeof OTHER

const OTHER = { kind: 'other' } as const

/** Microseconds from 1970 to 2000, PostgreSQL's epoch. */
const POSTGRES_EPOCH_MICROS = 946_684_800_000_000n

/** The decoders of a relation's rows: built once per version of a table, so that a row needs no lookup. */
interface RowPlan {
  readonly relation: Relation
  readonly layout: RowLayout
  readonly decoders: readonly ColumnDecoder[]
  readonly readsOldOnUpdate: boolean
}

/**
 * Parses pgoutput, protocol version 1, text format. Keeps the descriptions of tables, which precede their rows, so one parser
 * serves one stream from its start. Decodes rows immediately and keeps no reference to a message's buffer. Throws a
 * ReplicationError `protocol` for malformed input.
 */
export class PgoutputParser {
  readonly #plans = new Map<number, RowPlan>()
  readonly #typeNames = new Map<number, string>()
  readonly #wantsOldOnUpdate: (relation: Relation) => boolean

  /** `wantsOldOnUpdate` returns whether to decode an update's old row. */
  constructor(wantsOldOnUpdate: (relation: Relation) => boolean = () => true) {
    this.#wantsOldOnUpdate = wantsOldOnUpdate
  }

  parse(message: Buffer): PgoutputMessage {
    const reader = new ByteReader(message)
    const tag = reader.uint8()
    switch (tag) {
      case 0x49:
        return this.#insert(reader)
      case 0x55:
        return this.#update(reader)
      case 0x44:
        return this.#delete(reader)
      case 0x42:
        return {
          kind: 'begin',
          commitLsn: reader.uint64(),
          commitTime: reader.int64() + POSTGRES_EPOCH_MICROS,
          xid: reader.uint32(),
        }
      case 0x43:
        // Flags and the start of the commit record.
        reader.take(9)
        return { kind: 'commit', endLsn: reader.uint64() }
      case 0x52:
        return { kind: 'relation', relation: this.#relation(reader) }
      case 0x59:
        return this.#type(reader)
      case 0x54:
        return this.#truncate(reader)
      case 0x4f:
        return OTHER
      case 0x4d:
        // Flags and the position of the message.
        reader.take(9)
        return { kind: 'message', prefix: reader.text() }
      default:
        throw unknownTag('message', tag)
    }
  }

  #insert(reader: ByteReader): PgoutputMessage {
    const plan = this.#plan(reader)
    expectTag(reader, 0x4e)
    return { kind: 'insert', relation: plan.relation, old: null, new: new Row(plan.layout, readTuple(reader, plan)) }
  }

  #update(reader: ByteReader): PgoutputMessage {
    const plan = this.#plan(reader)
    const { relation, layout } = plan
    const tag = reader.uint8()
    if (tag === 0x4e) return { kind: 'update', relation, old: null, new: new Row(layout, readTuple(reader, plan)) }
    const oldStart = reader.offset
    if (tag === 0x4f) skipTuple(reader)
    const key = tag === 0x4f ? null : new Row(layout, readKey(reader, plan, tag))
    expectTag(reader, 0x4e)
    const values = readTuple(reader, plan)
    const needsOld = plan.readsOldOnUpdate || values.includes(UNCHANGED)
    if (tag !== 0x4f || !needsOld) return { kind: 'update', relation, old: key, new: new Row(layout, values) }
    reader.offset = oldStart
    const oldValues = readTuple(reader, plan)
    for (const [index, value] of values.entries()) if (value === UNCHANGED) values[index] = oldValues[index]
    return { kind: 'update', relation, old: new Row(layout, oldValues), new: new Row(layout, values) }
  }

  #delete(reader: ByteReader): PgoutputMessage {
    const plan = this.#plan(reader)
    const tag = reader.uint8()
    const old = tag === 0x4f ? readTuple(reader, plan) : readKey(reader, plan, tag)
    return { kind: 'delete', relation: plan.relation, old: new Row(plan.layout, old), new: null }
  }

  #truncate(reader: ByteReader): PgoutputMessage {
    const count = reader.uint32()
    // CASCADE and RESTART IDENTITY.
    reader.take(1)
    const relations: Relation[] = []
    for (let index = 0; index < count; index += 1) relations.push(this.#plan(reader).relation)
    return { kind: 'truncate', relations }
  }

  #type(reader: ByteReader): PgoutputMessage {
    const oid = reader.uint32()
    if (readNamespace(reader) === 'pg_catalog') this.#typeNames.set(oid, reader.text())
    return OTHER
  }

  #relation(reader: ByteReader): Relation {
    const oid = reader.uint32()
    const schema = readNamespace(reader)
    const table = reader.text()
    // The replica identity; the columns have its flags.
    reader.take(1)
    const columns: RelationColumn[] = []
    for (let left = reader.int16(); left > 0; left -= 1) columns.push(readColumn(reader))
    const relation: Relation = { schema, table, columns }
    this.#plans.set(oid, {
      relation,
      layout: new Map(columns.map(({ name }, index) => [name, index])),
      decoders: columns.map(({ typeOid }) => decoderFor(typeOid, this.#typeNames.get(typeOid))),
      readsOldOnUpdate: this.#wantsOldOnUpdate(relation),
    })
    return relation
  }

  #plan(reader: ByteReader): RowPlan {
    const oid = reader.uint32()
    const plan = this.#plans.get(oid)
    if (plan !== undefined) return plan
    throw new ReplicationError('protocol', `PostgreSQL sent a change of a table that it did not describe: oid ${oid}`)
  }
}

function readTuple(reader: ByteReader, plan: RowPlan): RowValue[] {
  const { decoders } = plan
  const { buffer } = reader
  const count = reader.int16()
  if (count < 0 || count > decoders.length) {
    const message = `a row of ${plan.relation.table} has ${count} columns, expected ${decoders.length}`
    throw new ReplicationError('protocol', message)
  }
  const values: RowValue[] = []
  for (let index = 0; index < count; index += 1) {
    const kind = reader.uint8()
    if (kind === 0x74) {
      const length = reader.int32()
      const start = reader.take(length)
      values.push(decode(plan, index, buffer, start, start + length))
    } else if (kind === 0x6e) values.push(null)
    else if (kind === 0x75) values.push(UNCHANGED)
    else throw unknownTag('column', kind)
  }
  return values
}

function decode(plan: RowPlan, index: number, buffer: Buffer, start: number, end: number): RowValue {
  try {
    return plan.decoders[index]?.(buffer, start, end)
  } catch (cause) {
    const { schema, table, columns } = plan.relation
    const column = `${schema}.${table}.${columns[index]?.name}`
    throw new ReplicationError('protocol', `${column}: ${messageOf(cause)}`, { cause })
  }
}

/** Reads an old row of which only the key was sent: the nulls of the other columns are placeholders. */
function readKey(reader: ByteReader, plan: RowPlan, tag: number): RowValue[] {
  if (tag !== 0x4b) throw unknownTag('old row', tag)
  const { columns } = plan.relation
  return readTuple(reader, plan).map((value, index) => (columns[index]?.isKey === true ? value : undefined))
}

function skipTuple(reader: ByteReader): void {
  for (let left = reader.int16(); left > 0; left -= 1) {
    const kind = reader.uint8()
    if (kind === 0x74) reader.take(reader.int32())
    else if (kind !== 0x6e && kind !== 0x75) throw unknownTag('column', kind)
  }
}

function readColumn(reader: ByteReader): RelationColumn {
  const isKey = (reader.uint8() & 1) !== 0
  const column = { name: reader.text(), typeOid: reader.uint32(), isKey }
  // The type modifier.
  reader.take(4)
  return column
}

/** Reads a schema name; PostgreSQL sends an empty string for `pg_catalog`. */
function readNamespace(reader: ByteReader): string {
  return reader.text() || 'pg_catalog'
}

function expectTag(reader: ByteReader, expected: number): void {
  const tag = reader.uint8()
  if (tag !== expected) throw unknownTag('row', tag)
}

function unknownTag(subject: string, tag: number): ReplicationError {
  return new ReplicationError('protocol', `PostgreSQL sent an unknown kind of ${subject}: 0x${tag.toString(16)}`)
}

/** Reads a message from front to back; reading past its end throws a ReplicationError `protocol`. */
class ByteReader {
  readonly buffer: Buffer
  /** The position of the next read. */
  offset = 0

  constructor(buffer: Buffer) {
    this.buffer = buffer
  }

  /** Advances by `length` bytes; returns the previous position. */
  take(length: number): number {
    const start = this.offset
    if (length < 0 || start + length > this.buffer.length) {
      throw new ReplicationError('protocol', `a pgoutput message is truncated at byte ${this.buffer.length}`)
    }
    this.offset = start + length
    return start
  }

  uint8(): number {
    return this.buffer.readUInt8(this.take(1))
  }

  int16(): number {
    return this.buffer.readInt16BE(this.take(2))
  }

  int32(): number {
    return this.buffer.readInt32BE(this.take(4))
  }

  uint32(): number {
    return this.buffer.readUInt32BE(this.take(4))
  }

  uint64(): bigint {
    return this.buffer.readBigUInt64BE(this.take(8))
  }

  int64(): bigint {
    return this.buffer.readBigInt64BE(this.take(8))
  }

  /** Reads a string that ends with a zero byte. */
  text(): string {
    const end = this.buffer.indexOf(0, this.offset)
    if (end === -1) this.take(this.buffer.length + 1)
    const start = this.take(end - this.offset + 1)
    return this.buffer.toString('utf8', start, end)
  }
}
