import type { Change } from '../../src/postgres/replication/change.ts'
import type { Row } from '../../src/postgres/replication/row.ts'
import { ConversionError } from '../../src/domain/errors.ts'
import { readRow, type Columns, type TypedRow } from './typed-row.ts'

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
