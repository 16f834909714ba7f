import { UNCHANGED, type Row } from '../../src/postgres/replication/row.ts'
import type { Change } from '../../src/postgres/replication/change.ts'
import { qualifiedName } from '../../src/postgres/replication/captured-table.ts'

/** The body of a dead letter: the change as JSON, for no protobuf message could be made of it. */
export function deadLetterBody({ operation, relation, transaction, index, old, new: after }: Change): Uint8Array {
  const change = {
    table: qualifiedName(relation),
    operation,
    transaction_id: transaction.xid,
    index,
    old: rowOf(old),
    new: rowOf(after),
  }
  return new TextEncoder().encode(JSON.stringify(change, readable))
}

function rowOf(row: Row | null): Record<string, unknown> | null {
  return row === null ? null : Object.fromEntries(row.entries())
}

/** What JSON has no form for: whole numbers beyond its own as text, bytes in hexadecimal, a value that was not sent. */
function readable(_name: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (value === UNCHANGED) return '(unchanged, not sent)'
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value)
  return value
}
