import type { ColumnValue } from './column-types.ts'

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
