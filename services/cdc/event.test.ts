import { expect, test } from 'vitest'
import { Row, type Change, type RowValue } from '../../src/postgres/replication/change.ts'
import { deadLetterBody } from './event.ts'

function rowOf(values: Readonly<Record<string, RowValue>>): Row {
  return new Row(new Map(Object.keys(values).map((name, index) => [name, index])), Object.values(values))
}

function letterOf(old: Row | null, after: Row): unknown {
  const change: Change = {
    operation: 'update',
    relation: { schema: 'public', table: 'gateways', columns: [] },
    old,
    new: after,
    transaction: { xid: 7, commitLsn: 1n, commitTime: 0n },
    index: 0,
  }
  return JSON.parse(Buffer.from(deadLetterBody(change)).toString())
}

const CUT = `${'x'.repeat(100_000)}… (300000 characters)`

test.each([
  { part: 'complete texts of 500,000 characters', old: 200_000, expected: 'x'.repeat(300_000) },
  { part: 'the beginnings of longer texts', old: 200_001, expected: CUT },
])('B-2: a dead letter contains $part', ({ old, expected }) => {
  const after = rowOf({ id: '', size: 9_007_199_254_740_993n, config: 'x'.repeat(300_000) })
  expect(letterOf(rowOf({ config: 'y'.repeat(old) }), after)).toMatchObject({
    table: 'public.gateways',
    transaction_id: 7,
    new: { id: '', size: '9007199254740993', config: expected },
  })
})
