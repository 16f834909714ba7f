import { toRfc3339 } from '../../src/domain/instant.ts'
import type { Publication } from '../../src/nats/publisher/publication.ts'
import {
  formatLsn,
  qualifiedName,
  UNCHANGED,
  type Change,
  type Operation,
  type Row,
  type Transaction,
} from '../../src/postgres/replication/change.ts'
import type { Action, Entity } from './entity.ts'

export const ACTIONS = {
  insert: 'create',
  update: 'update',
  delete: 'delete',
  truncate: 'truncate',
} as const satisfies Record<Operation, Action>

/** The values that all events of one transaction share, formatted once. */
interface TransactionText {
  readonly transaction: Transaction
  readonly lsn: string
  readonly xid: string
  readonly commitTime: string
}

/** Builds events from changes. Ids are derived from the slot and the log, so a change that is sent again has the same id. */
export class EventFactory {
  readonly #slot: string
  #newest: TransactionText | undefined

  constructor(slot: string) {
    this.#slot = slot
  }

  /**
   * Returns `{slot}:{commit LSN}.{index}`; for an existing row `{slot}:snapshot.{name}.{entity}.{key}`, which is the same after
   * the snapshot is resumed.
   */
  idOf(entity: Entity, { transaction, index, new: row }: Change): string {
    const { snapshot } = transaction
    if (snapshot === undefined) return `${this.#slot}:${this.#textOf(transaction).lsn}.${index}`
    return `${this.#slot}:snapshot.${snapshot}.${entity.name}.${encodeURIComponent(String(row?.get(entity.key)))}`
  }

  /** Returns the event for a change of this entity; docs/cdc.md describes the headers. Throws a ConversionError. */
  eventOf(entity: Entity, change: Change): Publication {
    const { lsn, xid, commitTime } = this.#textOf(change.transaction)
    const action = ACTIONS[change.operation]
    return {
      subject: `${entity.name}.${action}`,
      body: entity.convert(change),
      messageId: this.idOf(entity, change),
      headers: {
        'Ponix-Lsn': lsn,
        'Ponix-Index': String(change.index),
        'Ponix-Transaction-Id': xid,
        'Ponix-Commit-Time': commitTime,
        'Ponix-Table': `${entity.table.schema}.${entity.table.table}`,
        'Ponix-Operation': action,
        ...(change.transaction.snapshot === undefined ? {} : { 'Ponix-Snapshot': change.transaction.snapshot }),
      },
    }
  }

  #textOf(transaction: Transaction): TransactionText {
    if (this.#newest?.transaction === transaction) return this.#newest
    const { xid, commitLsn, commitTime } = transaction
    this.#newest = {
      transaction,
      lsn: formatLsn(commitLsn),
      xid: String(xid),
      commitTime: toRfc3339(commitTime),
    }
    return this.#newest
  }
}

/** A dead letter contains at most this many characters of each text of a row whose texts are longer than `MAX_LETTER_TEXTS`. */
const MAX_CUT_TEXT = 100_000
const MAX_LETTER_TEXTS = 500_000

/**
 * Returns the body of a dead letter: the change as JSON, because it could not be converted to protobuf. Of a large row it contains
 * only the beginning of each text, so that it fits into a message.
 */
export function deadLetterBody({ operation, relation, transaction, index, old, new: after }: Change): Uint8Array {
  const change = {
    table: qualifiedName(relation),
    operation,
    transaction_id: transaction.xid,
    index,
    old: rowObject(old),
    new: rowObject(after),
  }
  const maxText = textLengthOf(change.old) + textLengthOf(change.new) > MAX_LETTER_TEXTS ? MAX_CUT_TEXT : Infinity
  return new TextEncoder().encode(JSON.stringify(change, (_name, value: unknown) => jsonValue(value, maxText)))
}

function rowObject(row: Row | null): Record<string, unknown> | null {
  return row === null ? null : Object.fromEntries(row.entries())
}

function textLengthOf(row: Record<string, unknown> | null): number {
  return Object.values(row ?? {}).reduce<number>(
    (sum, value) => sum + (typeof value === 'string' ? value.length : 0),
    0,
  )
}

/**
 * Replaces values that JSON lacks: bigint and non-finite numbers by text, and a value that was not sent by a marker. Cuts a text that
 * is longer than `maxText`.
 */
function jsonValue(value: unknown, maxText: number): unknown {
  if (typeof value === 'string' && value.length > maxText) {
    return `${value.slice(0, maxText)}… (${value.length} characters)`
  }
  if (typeof value === 'bigint') return String(value)
  if (value === UNCHANGED) return '(unchanged, not sent)'
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value)
  return value
}
