import { ConversionError } from '../../src/domain/errors.ts'
import { clampInstant, type Instant } from '../../src/domain/instant.ts'
import { UNCHANGED, type Change, type Row, type RowValue } from '../../src/postgres/replication/change.ts'
import { INFINITE_FUTURE, INFINITE_PAST } from '../../src/postgres/replication/column-types.ts'

/** The last token of an event's subject, `{entity}.{action}`. */
export type Action = 'create' | 'update' | 'delete' | 'truncate'

/** Checks a column's value and converts it for the converter. Throws a ConversionError. */
export type ColumnReader<T> = (column: string, value: RowValue) => T

export type Columns = Readonly<Record<string, ColumnReader<unknown>>>

/** The row that a converter receives: each column as its reader returns it. */
export type TypedRow<C extends Columns> = { readonly [K in keyof C]: ReturnType<C[K]> }

/** Builds the body of an event. Throws a ConversionError for a row that cannot become an event. */
export interface Converter<C extends Columns> {
  readonly create: (row: TypedRow<C>) => Uint8Array
  /** `before` is null if the entity is without `readsOldOnUpdate`, or if the server did not send it. */
  readonly update: (after: TypedRow<C>, before: TypedRow<C> | null) => Uint8Array
  /** Receives the last state of the row. */
  readonly delete: (before: TypedRow<C>) => Uint8Array
}

/** Defines how a table's changes become events. */
export interface EntityDefinition<C extends Columns> {
  /** The first token of the subjects: `gateway`. */
  readonly name: string
  readonly table: { readonly schema: string; readonly table: string }
  readonly key: keyof C & string
  readonly columns: C
  readonly converter: Converter<C>
  /** Whether `update` needs the old row, which must then be decoded for every update. Default: false. */
  readonly readsOldOnUpdate?: boolean
}

/** An entity with a converter that is bound to its columns. */
export interface Entity extends Pick<EntityDefinition<Columns>, 'name' | 'table'> {
  readonly key: string
  readonly columns: readonly string[]
  readonly readsOldOnUpdate: boolean
  /** Returns the body of the change's event; empty for a truncated table. Throws a ConversionError. */
  convert(change: Pick<Change, 'operation' | 'old' | 'new'>): Uint8Array
}

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
  if (row === null)
    throw new ConversionError(
      'PostgreSQL sent a change without the required row; the table needs REPLICA IDENTITY FULL',
    )
  return row
}

/** Reads a row. Null, and a column that the table lacks, become undefined: the event is published without the field. */
function readRow<C extends Columns>(columns: C, row: Row): TypedRow<C>
function readRow(columns: Columns, row: Row): Record<string, unknown> {
  const typed: Record<string, unknown> = {}
  for (const column in columns) typed[column] = columns[column]?.(column, row.get(column))
  return typed
}

/** The largest `max_payload` of NATS: an event with a longer text is not built, because every copy of it takes memory. */
const MAX_TEXT_LENGTH = 64 * 1024 * 1024

export const key: ColumnReader<string> = (column, value) => {
  if (typeof value === 'string') return checkLength(column, value)
  throw unreadable(column, value, 'text')
}

function checkLength(column: string, value: string): string {
  if (value.length <= MAX_TEXT_LENGTH) return value
  throw new ConversionError(
    `column ${column}: a text of ${value.length} characters, expected at most ${MAX_TEXT_LENGTH}, which NATS can accept`,
  )
}

/** Reads a value of any type that is decoded as text, such as jsonb. */
export const text: ColumnReader<string | undefined> = (column, value) => {
  if (typeof value === 'string') return checkLength(column, value)
  if (value === null || value === undefined) return undefined
  throw unreadable(column, value, 'text')
}

/** Reads a number that is not negative, such as an integer. */
export const count: ColumnReader<number | undefined> = (column, value) => {
  if (value === null || value === undefined) return undefined
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw unreadable(column, value, 'an integer of at least 0')
}

/**
 * Reads a timestamptz in the range of google.protobuf.Timestamp, the years 1 to 9999. The infinities become the ends of the range;
 * a finite instant outside is a ConversionError, because it would become a different instant.
 */
export const timestamp: ColumnReader<Instant | undefined> = (column, value) => {
  if (value === null || value === undefined) return undefined
  if (typeof value !== 'bigint') throw unreadable(column, value, 'a timestamp with time zone')
  const nearest = clampInstant(value)
  if (nearest === value || value === INFINITE_FUTURE || value === INFINITE_PAST) return nearest
  throw new ConversionError(`${column}: ${value} µs since 1970 is out of range; expected 0001-01-01 to 9999-12-31`)
}

function unreadable(column: string, value: RowValue, expected: string): ConversionError {
  const found =
    value === UNCHANGED
      ? 'an unchanged large value that the replica identity omits'
      : value === undefined
        ? 'no such column'
        : value === null
          ? 'null'
          : typeof value
  return new ConversionError(`column ${column}: expected ${expected}, got ${found}`)
}
