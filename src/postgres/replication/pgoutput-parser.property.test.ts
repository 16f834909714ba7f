import * as fc from 'fast-check'
import { PgoutputPlugin } from 'pg-logical-replication'
import { describe, expect, test } from 'vitest'
import {
  insert,
  relation,
  remove,
  tag,
  text,
  u32,
  u64,
  u8,
  update,
  type Cell,
  type Table,
} from '../../../test/rig/adapters/pgoutput-messages.ts'
import { ReplicationError } from '../../domain/errors.ts'
import { UNCHANGED, type Row } from './change.ts'
import { PgoutputParser, type PgoutputMessage } from './pgoutput-parser.ts'

const cells: fc.Arbitrary<string | null> = fc.option(fc.string({ unit: 'grapheme' }))
const names = fc.string({ unit: fc.constantFrom('a', 'b', 'ü', '_', '1'), minLength: 1, maxLength: 5 })
const lsns = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n })
/** Microseconds since 2000, in the range in which the other parser is exact. */
const times = fc.bigInt({ min: 0n, max: 2n ** 60n })

const tables: fc.Arbitrary<Table> = fc.record({
  oid: fc.integer({ min: 1, max: 5 }),
  name: names,
  identity: fc.constantFrom('d' as const, 'f'),
  columns: fc.uniqueArray(fc.record({ name: names, key: fc.boolean() }), {
    selector: ({ name }) => name,
    minLength: 1,
    maxLength: 6,
  }),
})

const rowMessages = ({ oid, columns }: Table): fc.Arbitrary<Buffer> => {
  const row = fc.tuple(...columns.map(() => cells))
  const newRow = fc.tuple<Cell[]>(...columns.map(() => fc.oneof(cells, cells, fc.constant(UNCHANGED))))
  const keyed = row.map((values) => values.map((value, index) => (columns[index]?.key === true ? (value ?? '') : null)))
  return fc.oneof(
    row.map((values) => insert(oid, values)),
    fc.tuple(row, newRow).map(([old, values]) => update(oid, old, 'O', values)),
    fc.tuple(keyed, row).map(([old, values]) => update(oid, old, 'K', values)),
    row.map((values) => update(oid, null, 'O', values)),
    row.map((values) => remove(oid, 'O', values)),
    keyed.map((values) => remove(oid, 'K', values)),
    fc.nat(3).map((flags) => Buffer.concat([tag('T'), u32(1), u8(flags), u32(oid)])),
  )
}

const transcripts: fc.Arbitrary<readonly Buffer[]> = fc
  .array(
    fc.oneof(
      tables.chain((table) => fc.array(rowMessages(table)).map((rows) => [relation(table), ...rows])),
      fc
        .tuple(lsns, times, fc.nat())
        .map(([lsn, time, xid]) => [Buffer.concat([tag('B'), u64(lsn), u64(time), u32(xid)])]),
      fc
        .tuple(lsns, lsns, times)
        .map(([lsn, end, time]) => [Buffer.concat([tag('C'), u8(0), u64(lsn), u64(end), u64(time)])]),
      fc.tuple(lsns, names).map(([lsn, name]) => [Buffer.concat([tag('O'), u64(lsn), text(name)])]),
      fc.tuple(fc.nat(), names).map(([oid, name]) => [Buffer.concat([tag('Y'), u32(oid), text('public'), text(name)])]),
      fc
        .tuple(fc.boolean(), lsns, names, fc.uint8Array())
        .map(([transactional, lsn, prefix, content]) => [
          Buffer.concat([tag('M'), u8(transactional ? 1 : 0), u64(lsn), text(prefix), u32(content.length), content]),
        ]),
    ),
  )
  .map((parts) => parts.flat())

type Oracle = ReturnType<PgoutputPlugin['parse']>

/* eslint-disable typescript/consistent-return -- both switches are exhaustive, which another rule checks */

/** Returns the common form of both results, without unchanged values, for which the other parser has no marker. */
function normalised(message: PgoutputMessage): object {
  const plain = (row: Row | null): unknown =>
    row === null ? null : Object.fromEntries([...row.entries()].filter(([, value]) => value !== UNCHANGED))
  switch (message.kind) {
    case 'insert':
    case 'update':
    case 'delete':
      return { kind: message.kind, table: message.relation.table, old: plain(message.old), new: plain(message.new) }
    case 'truncate':
      return { kind: 'truncate', tables: message.relations.map(({ table }) => table) }
    case 'relation':
    case 'begin':
    case 'commit':
    case 'message':
    case 'other':
      return message
  }
}

const lsnOf = (lsn: string | null): bigint => BigInt(`0x${(lsn ?? '0/0').replace('/', '')}`)
const definedOf = (row: object | null): unknown =>
  row === null ? null : Object.fromEntries(Object.entries(row).filter(([, value]) => value !== undefined))

function normalisedOracle(message: Oracle): object {
  switch (message.tag) {
    case 'insert':
      return { kind: 'insert', table: message.relation.name, old: null, new: definedOf(message.new) }
    case 'update': {
      const { relation, old, key } = message
      return { kind: 'update', table: relation.name, old: definedOf(old ?? key), new: definedOf(message.new) }
    }
    case 'delete':
      return { kind: 'delete', table: message.relation.name, old: definedOf(message.old ?? message.key), new: null }
    case 'relation': {
      const { schema, name: table } = message
      const columns = message.columns.map(({ name, typeOid, flags }) => ({ name, typeOid, isKey: (flags & 1) === 1 }))
      return { kind: 'relation', relation: { schema, table, columns } }
    }
    case 'begin': {
      const { commitTime, xid } = message
      return { kind: 'begin', commitLsn: lsnOf(message.commitLsn), commitTime, xid }
    }
    case 'commit':
      return { kind: 'commit', endLsn: lsnOf(message.commitEndLsn) }
    case 'origin':
    case 'type':
      return { kind: 'other' }
    case 'truncate':
      return { kind: 'truncate', tables: message.relations.map(({ name }) => name) }
    case 'message':
      return { kind: 'message', prefix: message.prefix }
  }
}

/* eslint-enable typescript/consistent-return */

function errorOf(run: () => unknown): unknown {
  try {
    run()
    return undefined
  } catch (error) {
    return error
  }
}

describe('PgoutputParser with random messages', () => {
  test('parses every message as pg-logical-replication does', () => {
    fc.assert(
      fc.property(transcripts, (messages) => {
        const ours = new PgoutputParser()
        const theirs = new PgoutputPlugin({ protoVersion: 1, publicationNames: ['any'] })
        for (const message of messages) {
          expect(normalised(ours.parse(message))).toEqual(normalisedOracle(theirs.parse(message)))
        }
      }),
      { numRuns: 500 },
    )
  })

  test('a parsed message does not change when the buffer is reused', () => {
    fc.assert(
      fc.property(transcripts, (messages) => {
        const parser = new PgoutputParser()
        for (const message of messages) {
          const copy = Buffer.from(message)
          const parsed = parser.parse(copy)
          const before = normalised(parsed)
          copy.fill(0x78)
          expect(normalised(parsed)).toEqual(before)
        }
      }),
    )
  })

  test('a damaged message is parsed or rejected with a ReplicationError', () => {
    fc.assert(
      fc.property(transcripts, fc.array(fc.tuple(fc.nat(), fc.nat(255))), fc.nat(), (messages, damages, cut) => {
        const parser = new PgoutputParser()
        for (const message of messages) {
          const damaged = Buffer.from(message)
          for (const [at, byte] of damages) damaged[at % damaged.length] = byte
          const error = errorOf(() => parser.parse(damaged.subarray(0, cut % (damaged.length + 1))))
          expect(error ?? new ReplicationError('protocol', '')).toBeInstanceOf(ReplicationError)
          errorOf(() => parser.parse(message))
        }
      }),
      { numRuns: 1000 },
    )
  })
})
