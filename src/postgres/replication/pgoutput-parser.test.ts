import { describe, expect, test } from 'vitest'
import {
  insert,
  relation,
  remove,
  tag,
  text,
  u32,
  update,
  type Table,
} from '../../../test/rig/adapters/pgoutput-messages.ts'
import { UNCHANGED, type Row } from './change.ts'
import { PgoutputParser, type PgoutputMessage, type RowMessage } from './pgoutput-parser.ts'

const GATEWAYS: Table = {
  oid: 16_401,
  name: 'gateways',
  identity: 'f',
  columns: [
    { name: 'id', key: true },
    { name: 'name', key: true },
    { name: 'config', key: true },
  ],
}

function rowsOf(message: PgoutputMessage): RowMessage {
  if (message.kind !== 'insert' && message.kind !== 'update' && message.kind !== 'delete') {
    throw new Error(`not a row: ${message.kind}`)
  }
  return message
}

const cellsOf = (row: Row | null): unknown => (row === null ? null : Object.fromEntries(row.entries()))

describe('PgoutputParser', () => {
  test('C-5: fills an unchanged large value from the old row', () => {
    const parser = new PgoutputParser()
    parser.parse(relation(GATEWAYS))
    const change = rowsOf(parser.parse(update(16_401, ['a', 'old', 'BIG'], 'O', ['a', 'new', UNCHANGED])))
    expect(cellsOf(change.new)).toEqual({ id: 'a', name: 'new', config: 'BIG' })
    expect(cellsOf(change.old)).toEqual({ id: 'a', name: 'old', config: 'BIG' })
  })

  test('C-5: fills an unchanged large value even if the old row is not requested', () => {
    const parser = new PgoutputParser(() => false)
    parser.parse(relation(GATEWAYS))
    const filled = rowsOf(parser.parse(update(16_401, ['a', 'old', 'BIG'], 'O', ['a', 'new', UNCHANGED])))
    expect(filled.new?.get('config')).toBe('BIG')
    const plain = rowsOf(parser.parse(update(16_401, ['a', 'old', 'BIG'], 'O', ['a', 'new', 'SMALL'])))
    expect(plain.old).toBeNull()
    expect(plain.new?.get('config')).toBe('SMALL')
  })

  test('C-5: marks an unchanged large value as UNCHANGED without an old row', () => {
    const parser = new PgoutputParser()
    parser.parse(relation(GATEWAYS))
    const change = rowsOf(parser.parse(update(16_401, null, 'O', ['a', 'new', UNCHANGED])))
    expect(change.new?.get('config')).toBe(UNCHANGED)
  })

  test('returns an old row with only its key without other columns', () => {
    const parser = new PgoutputParser()
    const [id, name] = [
      { name: 'id', key: true },
      { name: 'name', key: false },
    ]
    parser.parse(relation({ ...GATEWAYS, identity: 'd', columns: [id, name] }))
    const change = rowsOf(parser.parse(remove(16_401, 'K', ['a', null])))
    expect(change.old?.get('id')).toBe('a')
    expect(change.old?.get('name')).toBeUndefined()
  })

  test('C-7: applies a new description of a table to the rows after it', () => {
    const parser = new PgoutputParser()
    parser.parse(relation(GATEWAYS))
    const before = rowsOf(parser.parse(insert(16_401, ['a', 'b', 'c'])))
    parser.parse(
      relation({
        ...GATEWAYS,
        columns: [
          { name: 'id', key: true },
          { name: 'title', key: true },
        ],
      }),
    )
    const after = rowsOf(parser.parse(insert(16_401, ['a', 'b'])))
    expect(cellsOf(before.new)).toEqual({ id: 'a', name: 'b', config: 'c' })
    expect(cellsOf(after.new)).toEqual({ id: 'a', title: 'b' })
    expect(after.relation).not.toBe(before.relation)
  })

  test('C-6: decodes a domain as its base type', () => {
    const parser = new PgoutputParser()
    parser.parse(Buffer.concat([tag('Y'), u32(50_000), text(''), text('int8')]))
    parser.parse(relation({ ...GATEWAYS, columns: [{ name: 'n', key: true, type: 50_000 }] }))
    expect(rowsOf(parser.parse(insert(16_401, ['9007199254740993']))).new?.get('n')).toBe(9_007_199_254_740_993n)
  })

  test('accepts any column name', () => {
    const parser = new PgoutputParser()
    parser.parse(relation({ ...GATEWAYS, columns: [{ name: '__proto__', key: true }] }))
    expect(rowsOf(parser.parse(insert(16_401, ['x']))).new?.get('__proto__')).toBe('x')
  })

  test('rejects a row of a table that was not described', () => {
    expect(() => new PgoutputParser().parse(insert(1, ['x']))).toThrow(/a table that it did not describe: oid 1$/)
  })

  test('rejects an invalid value with the name of its column', () => {
    const parser = new PgoutputParser()
    parser.parse(relation({ ...GATEWAYS, columns: [{ name: 'at', key: true, type: 1184 }] }))
    expect(() => parser.parse(insert(16_401, ['soon']))).toThrow(/^public\.gateways\.at: not a timestamp/)
  })
})
