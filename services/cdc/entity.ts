import { ConversionError } from '../../src/domain/errors.ts'
import type { Instant } from '../../src/domain/instant.ts'
import { type Change, type Row, UNCHANGED, type RowValue } from '../../src/postgres/replication/change.ts'
import { INFINITE_FUTURE, INFINITE_PAST } from '../../src/postgres/replication/column-types.ts'

/** How an event is called: `{entity}.{action}` is its subject. */
export type Action = 'create' | 'update' | 'delete' | 'truncate'

/** Makes the body of an event. Throws a ConversionError for a row that no event can be made of. */
export interface Converter<C extends Columns> {
  readonly create: (row: TypedRow<C>) => Uint8Array
  /** `before` is null unless the entity `readsOldOnUpdate`, and where the server did not send it. */
  readonly update: (after: TypedRow<C>, before: TypedRow<C> | null) => Uint8Array
  /** The row as it was last. */
  readonly delete: (before: TypedRow<C>) => Uint8Array
}

/** What makes a table's changes into events. */
export interface EntityDefinition<C extends Columns> {
  /** The first token of its subjects: `gateway`. */
  readonly name: string
  readonly table: { readonly schema: string; readonly table: string }
  /** The column that identifies a row. */
  readonly key: keyof C & string
  readonly columns: C
  readonly converter: Converter<C>
  /** Whether `update` looks at the row before; costs reading it. Default false. */
  readonly readsOldOnUpdate?: boolean
}

/** An entity whose types have done their work. */
export interface Entity {
  readonly name: string
  readonly table: { readonly schema: string; readonly table: string }
  readonly key: string
  readonly columns: readonly string[]
  readonly readsOldOnUpdate: boolean
  /** The body of the change's event: empty for a truncated table. Throws a ConversionError. */
  convert(change: Pick<Change, 'operation' | 'old' | 'new'>): Uint8Array
}

/** Binds a definition's converter to its columns; the compiler has checked that they fit each other. */
export function entity<C extends Columns>(definition: EntityDefinition<C>): Entity {
  const { name, table, key, columns, converter, readsOldOnUpdate = false } = definition
  return {
    name,
    table,
    key,
    columns: Object.keys(columns),
    readsOldOnUpdate,
    convert({ operation, old, new: after }) {
      if (operation === 'truncate') return new Uint8Array()
      if (operation === 'delete') return converter.delete(readRow(columns, present(old)))
      const row = readRow(columns, present(after))
      if (operation === 'insert') return converter.create(row)
      return converter.update(row, readsOldOnUpdate && old !== null ? readRow(columns, old) : null)
    },
  }
}

function present(row: Row | null): Row {
  if (row === null) throw new ConversionError('the change came without its row')
  return row
}

/** What a column must hold, and what a converter gets of it. Throws a ConversionError for a value of another kind. */
export type ColumnReader<T> = (column: string, value: RowValue) => T

/** Columns by their names in the table. */
export type Columns = Readonly<Record<string, ColumnReader<unknown>>>

/** A row as a converter gets it: each column as its reader gives it. */
export type TypedRow<C extends Columns> = { readonly [K in keyof C]: ReturnType<C[K]> }

/**
 * The columns of a row, typed. A column that the table does not have (any more) is undefined, as null is: the event goes
 * without that field rather than not at all. A key must be there.
 */
function readRow<C extends Columns>(columns: C, row: Row): TypedRow<C>
function readRow(columns: Columns, row: Row): Record<string, unknown> {
  const typed: Record<string, unknown> = {}
  for (const column in columns) typed[column] = columns[column]?.(column, row.get(column))
  return typed
}

/** Text that identifies the row. */
export const key: ColumnReader<string> = (column, value) => {
  if (typeof value === 'string') return value
  throw unreadable(column, value, 'text')
}

/** Text, of any type that is written as text: jsonb too. */
export const text: ColumnReader<string | undefined> = (column, value) => {
  if (typeof value === 'string') return value
  if (value === null || value === undefined) return undefined
  throw unreadable(column, value, 'text')
}

/** A timestamptz. */
export const instant: ColumnReader<Instant | undefined> = (column, value) => {
  if (typeof value === 'bigint') return value
  if (value === null || value === undefined) return undefined
  throw unreadable(column, value, 'a timestamp with time zone')
}

/** What protobuf's Timestamp can say: the years 1 to 9999. */
const EARLIEST: Instant = -62_135_596_800_000_000n
const LATEST: Instant = 253_402_300_799_999_999n

/**
 * The instant as a Timestamp can say it. The infinities become the ends of what it can say; a finite instant beyond them is a
 * ConversionError, for it would become another one.
 */
export function timestampValue(column: string, value: Instant | undefined): Instant | undefined {
  if (value === undefined) return undefined
  if (value === INFINITE_FUTURE) return LATEST
  if (value === INFINITE_PAST) return EARLIEST
  if (value < EARLIEST || value > LATEST) throw new ConversionError(`${column}: no Timestamp can hold ${value} µs`)
  return value
}

function unreadable(column: string, value: RowValue, expected: string): ConversionError {
  const given =
    value === UNCHANGED
      ? 'an unchanged large value that the replica identity does not carry'
      : value === undefined
        ? 'no such column'
        : nameOf(value)
  return new ConversionError(`column ${column}: expected ${expected}, got ${given}`)
}

function nameOf(value: RowValue): string {
  return value === null ? 'null' : typeof value
}
