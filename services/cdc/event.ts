import { toRfc3339 } from '../../src/domain/instant.ts'
import type { Publication } from '../../src/nats/publication.ts'
import {
  type Change,
  type Operation,
  type Transaction,
  formatLsn,
  UNCHANGED,
  type Row,
  qualifiedName,
} from '../../src/postgres/replication/change.ts'
import type { Action, Entity } from './entity.ts'

const ACTIONS = {
  insert: 'create',
  update: 'update',
  delete: 'delete',
  truncate: 'truncate',
} as const satisfies Record<Operation, Action>

/** The headers of every event: where in PostgreSQL's log its change is. LSN and index together order the events. */
const EVENT_HEADERS = {
  /** Where the commit record starts: `16/B374D848`. */
  lsn: 'Ponix-Lsn',
  /** The place of the change within its transaction, from 0. */
  index: 'Ponix-Index',
  transactionId: 'Ponix-Transaction-Id',
  /** RFC 3339 in UTC, with microseconds. */
  commitTime: 'Ponix-Commit-Time',
  /** With its schema: `public.gateways`. */
  table: 'Ponix-Table',
  /** `create`, `update`, `delete` or `truncate`. */
  operation: 'Ponix-Operation',
  /** Names the snapshot, on the events of rows that were there before; absent on all others. */
  snapshot: 'Ponix-Snapshot',
} as const

/** What all events of one transaction say alike, made once. */
interface TransactionText {
  readonly transaction: Transaction
  readonly lsn: string
  readonly xid: string
  readonly commitTime: string
}

/** Makes events of changes. Their ids are derived from the slot and the log: a change that comes again has the same one. */
export class EventMaker {
  readonly #slot: string
  #newest: TransactionText | undefined

  constructor(slot: string) {
    this.#slot = slot
  }

  /**
   * `{slot}:{commit LSN}.{index}`; of a row that was there before `{slot}:snapshot.{name}.{entity}.{key}`, which stays the same
   * when the snapshot is resumed.
   */
  idOf(entity: Entity, { transaction, index, new: row }: Change): string {
    const { snapshot } = transaction
    if (snapshot === undefined) return `${this.#slot}:${this.#textOf(transaction).lsn}.${index}`
    return `${this.#slot}:snapshot.${snapshot}.${entity.name}.${encodeURIComponent(String(row?.get(entity.key)))}`
  }

  /** The event for a change of this entity. Throws a ConversionError. */
  eventOf(entity: Entity, change: Change): Publication {
    const { lsn, xid, commitTime } = this.#textOf(change.transaction)
    const action = ACTIONS[change.operation]
    return {
      subject: `${entity.name}.${action}`,
      body: entity.convert(change),
      messageId: this.idOf(entity, change),
      headers: {
        [EVENT_HEADERS.lsn]: lsn,
        [EVENT_HEADERS.index]: String(change.index),
        [EVENT_HEADERS.transactionId]: xid,
        [EVENT_HEADERS.commitTime]: commitTime,
        [EVENT_HEADERS.table]: `${entity.table.schema}.${entity.table.table}`,
        [EVENT_HEADERS.operation]: action,
        ...(change.transaction.snapshot === undefined ? {} : { [EVENT_HEADERS.snapshot]: change.transaction.snapshot }),
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

/** The last token of the event's subject. */
export function actionOf(operation: Operation): Action {
  return ACTIONS[operation]
}

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
