import { escapeIdentifier } from 'pg'
import type { Instant } from '../../domain/instant.ts'
import type { ColumnValue } from './column-types.ts'

/** A position in the write-ahead log, in bytes. 64 bits: a number would lose the low ones on an old cluster. */
export type Lsn = bigint

/** No position: asks the server to start where the slot stands. */
export const ZERO_LSN: Lsn = 0n

const PATTERN = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/

/** As PostgreSQL writes it: `16/B374D848`. */
export function formatLsn(lsn: Lsn): string {
  const high = (lsn >> 32n).toString(16)
  const low = (lsn & 0xffff_ffffn).toString(16)
  return `${high}/${low}`.toUpperCase()
}

/** The position that PostgreSQL wrote; throws a RangeError for any other text. */
export function parseLsn(text: string): Lsn {
  const match = PATTERN.exec(text)
  const [, high, low] = match ?? []
  if (high === undefined || low === undefined) throw new RangeError(`not a WAL position: ${JSON.stringify(text)}`)
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)
}

/** The value is one that the server did not send, for it has not changed and the old row does not carry it (unchanged TOAST). */
export const UNCHANGED: unique symbol = Symbol('unchanged')

/** A value in a row; undefined where the row does not carry the column (an old row that has only its key). */
export type RowValue = ColumnValue | typeof UNCHANGED | undefined

/** Names of columns to their places in a row. One per version of a table. */
export type RowLayout = ReadonlyMap<string, number>

/** A row by the names of its columns. */
export class Row {
  readonly #layout: RowLayout
  readonly #values: readonly RowValue[]

  constructor(layout: RowLayout, values: readonly RowValue[]) {
    this.#layout = layout
    this.#values = values
  }

  /** The column's value; undefined when the table has no such column or the row does not carry it. */
  get(column: string): RowValue {
    const index = this.#layout.get(column)
    return index === undefined ? undefined : this.#values[index]
  }

  /** The columns this row carries, with their values. */
  *entries(): Generator<readonly [string, ColumnValue | typeof UNCHANGED]> {
    for (const [column, index] of this.#layout) {
      const value = this.#values[index]
      if (value !== undefined) yield [column, value]
    }
  }
}

/** Which columns the old row of an update or delete carries. */
export type ReplicaIdentity = 'default' | 'nothing' | 'full' | 'index'

export interface RelationColumn {
  readonly name: string
  readonly typeOid: number
  readonly typeModifier: number
  /** Part of the replica identity; with `full` every column is. */
  readonly isKey: boolean
}

/** A table as it was when the changes that follow were made. A new object whenever the server describes it anew. */
export interface Relation {
  readonly oid: number
  readonly schema: string
  readonly table: string
  readonly replicaIdentity: ReplicaIdentity
  readonly columns: readonly RelationColumn[]
}

/** What the plugin pgoutput says, protocol version 1. Times are microseconds since 1970. */
export type PgoutputMessage =
  /** `commitLsn`: where the commit record starts; known from the start, so that messages can be named before it comes. */
  | { readonly kind: 'begin'; readonly commitLsn: Lsn; readonly commitTime: Instant; readonly xid: number }
  /** `endLsn`: the end of the commit record, which is what may be confirmed. */
  | { readonly kind: 'commit'; readonly commitLsn: Lsn; readonly endLsn: Lsn; readonly commitTime: Instant }
  | { readonly kind: 'origin'; readonly lsn: Lsn; readonly name: string }
  | { readonly kind: 'relation'; readonly relation: Relation }
  | { readonly kind: 'type'; readonly oid: number; readonly schema: string; readonly name: string }
  | RowMessage
  | {
      readonly kind: 'truncate'
      readonly relations: readonly Relation[]
      readonly cascade: boolean
      readonly restartIdentity: boolean
    }
  | {
      readonly kind: 'message'
      readonly transactional: boolean
      readonly lsn: Lsn
      readonly prefix: string
      readonly content: Buffer
    }

export type RowMessage =
  | { readonly kind: 'insert'; readonly relation: Relation; readonly old: null; readonly new: Row }
  /** `old` is null when it is not wanted, or not sent: the replica identity is not full and no key column changed. */
  | { readonly kind: 'update'; readonly relation: Relation; readonly old: Row | null; readonly new: Row }
  | { readonly kind: 'delete'; readonly relation: Relation; readonly old: Row; readonly new: null }

/** What was committed together. */
export interface Transaction {
  readonly xid: number
  /** Where its commit record starts: the one position that names it, also after a restart. */
  readonly commitLsn: Lsn
  readonly commitTime: Instant
  /** Of rows that were there before: the snapshot's name. Its rows have the position before the first that the slot has. */
  readonly snapshot?: string
}

export type Operation = 'insert' | 'update' | 'delete' | 'truncate'

/** One change of one row, or a table emptied. */
export interface Change {
  readonly operation: Operation
  readonly relation: Relation
  /** The row before: of a delete always, of an update when it is wanted and the replica identity carries it. */
  readonly old: Row | null
  /** The row after: of an insert and an update. */
  readonly new: Row | null
  readonly transaction: Transaction
  /** The place within the transaction, from 0, counting every change of every published table. */
  readonly index: number
}

/** A table whose changes are wanted. */
export interface CapturedTable {
  readonly schema: string
  readonly table: string
  /** The column that identifies a row, and by which a snapshot reads the table; absent: the table has no part in snapshots. */
  readonly key?: string
  /**
   * The columns that are read of a row as it was: of a deleted row, of an updated one, and every column that may be large, for
   * the server leaves an unchanged large value out of the new row. The replica identity must carry them.
   */
  readonly oldColumns: readonly string[]
  /** Whether the old row of an update is wanted; false saves reading it. Default true. */
  readonly wantsOldOnUpdate?: boolean
}

/** `public.gateways`, for people and for comparing. */
export function qualifiedName(table: Pick<CapturedTable, 'schema' | 'table'>): string {
  return `${table.schema}.${table.table}`
}

/** `"public"."gateways"`, for statements. */
export function escapedName(table: Pick<CapturedTable, 'schema' | 'table'>): string {
  return `${escapeIdentifier(table.schema)}.${escapeIdentifier(table.table)}`
}
