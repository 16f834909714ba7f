import { escapeIdentifier } from 'pg'
import type { Instant } from '../../domain/instant.ts'
import type { ColumnValue } from './column-types.ts'

/** A position in the write-ahead log, in bytes: 64 bits, which a number cannot represent exactly. */
export type Lsn = bigint

/** No position: the server starts at the slot's position. */
export const ZERO_LSN: Lsn = 0n

const LSN_PATTERN = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/

/** Formats in PostgreSQL's notation: `16/B374D848`. */
export function formatLsn(lsn: Lsn): string {
  const high = (lsn >> 32n).toString(16)
  const low = (lsn & 0xffff_ffffn).toString(16)
  return `${high}/${low}`.toUpperCase()
}

/** Parses PostgreSQL's notation; throws a RangeError for any other text. */
export function parseLsn(text: string): Lsn {
  const [, high, low] = LSN_PATTERN.exec(text) ?? []
  if (high === undefined || low === undefined) throw new RangeError(`not a WAL position: ${JSON.stringify(text)}`)
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)
}

/** A value that the server did not send: it is unchanged (TOAST) and the old row lacks it. */
export const UNCHANGED: unique symbol = Symbol('unchanged')

/** A value in a row; undefined if the row lacks the column (an old row that has only its key). */
export type RowValue = ColumnValue | typeof UNCHANGED | undefined

/** Maps a column's name to its index in a row. One per version of a table. */
export type RowLayout = ReadonlyMap<string, number>

/** A row with access by column name. */
export class Row {
  readonly #layout: RowLayout
  readonly #values: readonly RowValue[]

  constructor(layout: RowLayout, values: readonly RowValue[]) {
    this.#layout = layout
    this.#values = values
  }

  /** Returns the column's value; undefined if the table or the row lacks the column. */
  get(column: string): RowValue {
    const index = this.#layout.get(column)
    return index === undefined ? undefined : this.#values[index]
  }

  /** Yields the columns of this row with their values. */
  *entries(): Generator<readonly [string, ColumnValue | typeof UNCHANGED]> {
    for (const [column, index] of this.#layout) {
      const value = this.#values[index]
      if (value !== undefined) yield [column, value]
    }
  }
}

export interface RelationColumn {
  readonly name: string
  readonly typeOid: number
  /** True for a part of the replica identity; with REPLICA IDENTITY FULL for every column. */
  readonly isKey: boolean
}

/** A table as of the changes that follow. A new object whenever the server describes it again. */
export interface Relation {
  readonly schema: string
  readonly table: string
  readonly columns: readonly RelationColumn[]
}

export interface Transaction {
  readonly xid: number
  /** The start of the commit record: identifies the transaction, even after a restart. */
  readonly commitLsn: Lsn
  readonly commitTime: Instant
  /** The snapshot's name, for existing rows. Their position is just before the first position of the slot. */
  readonly snapshot?: string
}

export type Operation = 'insert' | 'update' | 'delete' | 'truncate'

/** A change of one row, or a truncated table. */
export interface Change {
  readonly operation: Operation
  readonly relation: Relation
  /** The row before a delete; before an update only if it was requested and the replica identity contains it. */
  readonly old: Row | null
  /** The row after an insert or update. */
  readonly new: Row | null
  readonly transaction: Transaction
  /** The position within the transaction, from 0, counting every change of every published table. */
  readonly index: number
}

export interface CapturedTable {
  readonly schema: string
  readonly table: string
  /** The column that identifies a row and orders a snapshot; without it snapshots skip the table. */
  readonly key?: string
  /**
   * The columns that are read from old rows: of deleted and updated rows, and every column that can be large, because the server
   * omits an unchanged large value from the new row. The replica identity must contain them.
   */
  readonly oldColumns: readonly string[]
  /** Whether to decode the old row of an update. Default true. */
  readonly wantsOldOnUpdate?: boolean
}

type TableName = Pick<CapturedTable, 'schema' | 'table'>

/** Returns `public.gateways`, for messages and as a key. */
export function qualifiedName({ schema, table }: TableName): string {
  return `${schema}.${table}`
}

/** Returns `"public"."gateways"`, for statements. */
export function escapedName({ schema, table }: TableName): string {
  return `${escapeIdentifier(schema)}.${escapeIdentifier(table)}`
}
