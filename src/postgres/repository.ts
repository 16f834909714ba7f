import type { QueryResultRow } from 'pg'
import { DomainError } from '../domain/errors.ts'
import { toRfc3339 } from '../domain/instant.ts'
import type { CallOptions, Page, PageCursor, PageRequest } from '../domain/ports.ts'
import type { PostgresDatabase, Statement } from './database.ts'
import { violation } from './errors.ts'

/**
 * The organization $1, if it is not deleted, held so that it cannot be deleted before the statement's transaction ends; a
 * deletion under way is waited for. (FOR KEY SHARE, which the foreign key takes, would let a soft delete pass.)
 */
export const LIVE_OWNER = 'WITH owner AS (SELECT id FROM organizations WHERE id = $1 AND deleted_at IS NULL FOR SHARE)'

/** Moves even when two changes fall into one microsecond or the clock steps back. */
export const NEXT_UPDATED_AT = "GREATEST(clock_timestamp(), updated_at + interval '1 microsecond')"

interface Owned {
  /** As it begins a sentence: `Gateway`. */
  readonly kind: string
  readonly id: string
  readonly organizationId: string
}

/** Runs an INSERT that begins with LIVE_OWNER. Throws `not_found` without a live organization, `already_exists` for the id. */
export async function createOwned<R extends QueryResultRow>(
  database: PostgresDatabase,
  statement: Statement,
  values: readonly unknown[],
  { kind, id, organizationId }: Owned,
  options?: CallOptions,
): Promise<R> {
  try {
    const [row] = await database.query<R>(statement, values, options)
    if (row !== undefined) return row
  } catch (error) {
    const violated = violation(error)
    if (violated === 'unique')
      throw new DomainError('already_exists', `${kind} already exists: ${id}`, { cause: error })
    if (violated === null) throw error
  }
  throw new DomainError('not_found', `Organization not found: ${organizationId}`)
}

export interface KeysetListOptions<R, T> {
  /** Unique among the prepared statements. */
  readonly name: string
  /** `SELECT … FROM …`. */
  readonly select: string
  /** The condition of every page; its parameters are $1 to $`parameters`. */
  readonly where: string
  readonly parameters: number
  readonly idColumn: string
  readonly entity: (row: R) => T
  readonly cursor: (item: T) => PageCursor
}

/** A list in pages, ordered by (created_at, id), both descending: a page costs the same wherever it lies. */
export class KeysetList<R extends QueryResultRow, T> {
  readonly #options: KeysetListOptions<R, T>
  readonly #firstPage: Statement
  readonly #laterPage: Statement

  constructor(options: KeysetListOptions<R, T>) {
    this.#options = options
    const { name, select, where, parameters, idColumn } = options
    const [limit, createdAt, id] = [1, 2, 3].map((offset) => `$${parameters + offset}`)
    const after = `(created_at, ${idColumn}) < (${createdAt}::timestamptz, ${id})`
    const order = `ORDER BY created_at DESC, ${idColumn} DESC LIMIT ${limit}`
    this.#firstPage = { name: `${name}_first`, text: `${select} WHERE ${where} ${order}` }
    this.#laterPage = { name: `${name}_later`, text: `${select} WHERE ${where} AND ${after} ${order}` }
  }

  /** Asks for one row more than the page has, to know whether another page follows. */
  async fetch(
    database: PostgresDatabase,
    values: readonly unknown[],
    { size, after }: PageRequest,
    options?: CallOptions,
  ): Promise<Page<T>> {
    const rows =
      after === null
        ? await database.query<R>(this.#firstPage, [...values, size + 1], options)
        : await database.query<R>(this.#laterPage, [...values, size + 1, toRfc3339(after.createdAt), after.id], options)
    const items = rows.slice(0, size).map((row) => this.#options.entity(row))
    const last = items.at(-1)
    return { items, next: rows.length > size && last !== undefined ? this.#options.cursor(last) : null }
  }
}
