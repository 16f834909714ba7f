import { ReplicationError } from '../../domain/errors.ts'
import type { Instant } from '../../domain/instant.ts'
import {
  type PgoutputMessage,
  type Relation,
  type RelationColumn,
  type ReplicaIdentity,
  Row,
  UNCHANGED,
  type RowLayout,
  type RowValue,
} from './change.ts'
import { decoderFor, type ColumnDecoder } from './column-types.ts'

/** Microseconds from 1970 to 2000, where PostgreSQL's clock begins. */
const POSTGRES_EPOCH_MICROS = 946_684_800_000_000n

const IDENTITIES: ReadonlyMap<number, ReplicaIdentity> = new Map([
  [0x64, 'default'],
  [0x6e, 'nothing'],
  [0x66, 'full'],
  [0x69, 'index'],
])

/** What a relation's rows are read with: made once per version of a table, so that a row costs no look-up. */
interface Plan {
  readonly relation: Relation
  readonly layout: RowLayout
  readonly decoders: readonly ColumnDecoder[]
  readonly readsOldOnUpdate: boolean
}

export interface PgoutputParserOptions {
  /** Whether an update's old row is wanted; the answer false saves decoding it. Default: always. */
  readonly wantsOldOnUpdate?: (schema: string, table: string) => boolean
}

/**
 * Reads what the plugin pgoutput says, protocol version 1, text format. Keeps the tables' descriptions, which come before their
 * rows, so one parser serves one stream from its start. A row is decoded at once: nothing refers to the message's buffer later.
 * Throws a ReplicationError `protocol` for what it does not understand.
 */
export class PgoutputParser {
  readonly #plans = new Map<number, Plan>()
  readonly #typeNames = new Map<number, string>()
  readonly #wantsOldOnUpdate: (schema: string, table: string) => boolean

  constructor(options: PgoutputParserOptions = {}) {
    this.#wantsOldOnUpdate = options.wantsOldOnUpdate ?? (() => true)
  }

  /** Reads one message. */
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
        return { kind: 'begin', commitLsn: reader.uint64(), commitTime: readTime(reader), xid: reader.uint32() }
      case 0x43:
        reader.uint8()
        return {
          kind: 'commit',
          commitLsn: reader.uint64(),
          endLsn: reader.uint64(),
          commitTime: readTime(reader),
        }
      case 0x52:
        return { kind: 'relation', relation: this.#relation(reader) }
      case 0x59:
        return this.#type(reader)
      case 0x54:
        return this.#truncate(reader)
      case 0x4f:
        return { kind: 'origin', lsn: reader.uint64(), name: reader.text() }
      case 0x4d:
        return readLogicalMessage(reader)
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
    const old = tag === 0x4f ? undefined : readKey(reader, plan, tag)
    expectTag(reader, 0x4e)
    const values = readTuple(reader, plan)
    const needsOld = plan.readsOldOnUpdate || values.includes(UNCHANGED)
    if (tag !== 0x4f || !needsOld) {
      return {
        kind: 'update',
        relation,
        old: old === undefined ? null : new Row(layout, old),
        new: new Row(layout, values),
      }
    }
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
    const flags = reader.uint8()
    const relations: Relation[] = []
    for (let index = 0; index < count; index += 1) relations.push(this.#plan(reader).relation)
    return { kind: 'truncate', relations, cascade: (flags & 1) !== 0, restartIdentity: (flags & 2) !== 0 }
  }

  #type(reader: ByteReader): PgoutputMessage {
    const oid = reader.uint32()
    const schema = readNamespace(reader)
    const name = reader.text()
    if (schema === 'pg_catalog') this.#typeNames.set(oid, name)
    return { kind: 'type', oid, schema, name }
  }

  #relation(reader: ByteReader): Relation {
    const oid = reader.uint32()
    const schema = readNamespace(reader)
    const table = reader.text()
    const identity = reader.uint8()
    const replicaIdentity = IDENTITIES.get(identity)
    if (replicaIdentity === undefined) throw unknownTag('replica identity', identity)
    const columns: RelationColumn[] = []
    for (let left = reader.int16(); left > 0; left -= 1) columns.push(readColumn(reader))
    const relation: Relation = { oid, schema, table, replicaIdentity, columns }
    this.#plans.set(oid, {
      relation,
      layout: new Map(columns.map(({ name }, index) => [name, index])),
      decoders: columns.map(({ typeOid }) => decoderFor(typeOid, this.#typeNames.get(typeOid))),
      readsOldOnUpdate: this.#wantsOldOnUpdate(schema, table),
    })
    return relation
  }

  #plan(reader: ByteReader): Plan {
    const oid = reader.uint32()
    const plan = this.#plans.get(oid)
    if (plan === undefined) {
      throw new ReplicationError('protocol', `a change came for the table with oid ${oid}, which was not described`)
    }
    return plan
  }
}

function readTuple(reader: ByteReader, plan: Plan): RowValue[] {
  const { decoders } = plan
  const { buffer } = reader
  const count = reader.int16()
  if (count < 0 || count > decoders.length) {
    throw new ReplicationError(
      'protocol',
      `a row of ${plan.relation.table} has ${count} columns, not ${decoders.length}`,
    )
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

function decode(plan: Plan, index: number, buffer: Buffer, start: number, end: number): RowValue {
  try {
    return plan.decoders[index]?.(buffer, start, end)
  } catch (error) {
    const { schema, table, columns } = plan.relation
    const reason = error instanceof Error ? error.message : String(error)
    throw new ReplicationError('protocol', `${schema}.${table}.${columns[index]?.name}: ${reason}`, { cause: error })
  }
}

/** The old row when only its key was sent: the other columns arrive as nulls that mean nothing. */
function readKey(reader: ByteReader, plan: Plan, tag: number): RowValue[] {
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
  return { name: reader.text(), typeOid: reader.uint32(), typeModifier: reader.int32(), isKey }
}

function readLogicalMessage(reader: ByteReader): PgoutputMessage {
  const transactional = (reader.uint8() & 1) !== 0
  const lsn = reader.uint64()
  const prefix = reader.text()
  const length = reader.int32()
  const start = reader.take(length)
  // A copy: what is given out must not change when the socket's buffer is used again.
  return {
    kind: 'message',
    transactional,
    lsn,
    prefix,
    content: Buffer.from(reader.buffer.subarray(start, start + length)),
  }
}

/** PostgreSQL sends the name of its own schema as the empty text. */
function readNamespace(reader: ByteReader): string {
  const schema = reader.text()
  return schema === '' ? 'pg_catalog' : schema
}

function readTime(reader: ByteReader): Instant {
  return reader.int64() + POSTGRES_EPOCH_MICROS
}

function expectTag(reader: ByteReader, expected: number): void {
  const tag = reader.uint8()
  if (tag !== expected) throw unknownTag('row', tag)
}

function unknownTag(what: string, tag: number): ReplicationError {
  return new ReplicationError('protocol', `PostgreSQL sent an unknown kind of ${what}: 0x${tag.toString(16)}`)
}

/** Reads a message from front to back; reading past its end is a ReplicationError `protocol`, never a short value. */
export class ByteReader {
  readonly buffer: Buffer
  /** Where the next read starts. */
  offset = 0

  constructor(buffer: Buffer) {
    this.buffer = buffer
  }

  /** Moves on by `length` bytes; returns where they start. */
  take(length: number): number {
    const start = this.offset
    if (length < 0 || start + length > this.buffer.length) {
      throw new ReplicationError('protocol', `a pgoutput message ends at byte ${this.buffer.length}, too early`)
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

  /** Text that ends with a zero byte. */
  text(): string {
    const end = this.buffer.indexOf(0, this.offset)
    if (end === -1) this.take(this.buffer.length + 1)
    const start = this.take(end - this.offset + 1)
    return this.buffer.toString('utf8', start, end)
  }
}
