import { escapeIdentifier } from 'pg'

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
