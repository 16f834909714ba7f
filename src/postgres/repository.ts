import type { QueryResultRow } from 'pg'
import { DomainError } from '../domain/errors.ts'
import { toRfc3339 } from '../domain/instant.ts'
import type { CallOptions, Page, PageCursor, PageRequest } from '../domain/ports.ts'
import type { PostgresDatabase, Statement } from './database.ts'
import { violation } from './errors.ts'

/**
 * The live organization $1, share-locked until the end of the statement's transaction so that it cannot be deleted meanwhile; a
 * concurrent deletion is waited for. (FOR KEY SHARE, which the foreign key takes, does not conflict with a soft delete.)
 */
export const LIVE_OWNER = 'WITH owner AS (SELECT id FROM organizations WHERE id = $1 AND deleted_at IS NULL FOR SHARE)'

/** Increases even when two changes fall into one microsecond or the clock steps back. */
export const NEXT_UPDATED_AT = "GREATEST(clock_timestamp(), updated_at + interval '1 microsecond')"

interface ListOptions<T> {
  /** Unique among the prepared statements. */
  readonly name: string
  /** `SELECT … FROM …`. */
  readonly select: string
  /** The condition of every page; its parameters are $1 to $`parameters`. */
  readonly where: string
  readonly parameters: number
  readonly idColumn: string
  readonly cursor: (item: T) => PageCursor
}

/** A list in pages, ordered by (created_at, id) descending: the cost of a page does not depend on its position. */
export class KeysetList<T extends QueryResultRow> {
  readonly #cursor: ListOptions<T>['cursor']
  readonly #firstPage: Statement
  readonly #laterPage: Statement

  constructor({ name, select, where, parameters, idColumn, cursor }: ListOptions<T>) {
    this.#cursor = cursor
    const [limit, createdAt, id] = [1, 2, 3].map((offset) => `$${parameters + offset}`)
    const after = `(created_at, ${idColumn}) < (${createdAt}::timestamptz, ${id})`
    const order = `ORDER BY created_at DESC, ${idColumn} DESC LIMIT ${limit}`
    this.#firstPage = { name: `${name}_first`, text: `${select} WHERE ${where} ${order}` }
    this.#laterPage = { name: `${name}_later`, text: `${select} WHERE ${where} AND ${after} ${order}` }
  }

  /** Fetches one row more than the page holds to find out whether another page follows. */
  async fetch(
    database: PostgresDatabase,
    values: readonly unknown[],
    { size, after }: PageRequest,
    options?: CallOptions,
  ): Promise<Page<T>> {
    const rows =
      after === null
        ? await database.query<T>(this.#firstPage, [...values, size + 1], options)
        : await database.query<T>(this.#laterPage, [...values, size + 1, toRfc3339(after.createdAt), after.id], options)
    const items = rows.slice(0, size)
    const last = items.at(-1)
    return { items, next: rows.length > size && last !== undefined ? this.#cursor(last) : null }
  }
}

/** Base of the repositories. Every statement returns rows under the entity's property names, so a row is the entity. */
export abstract class PostgresRepository<T extends QueryResultRow> {
  protected readonly database: PostgresDatabase

  constructor(database: PostgresDatabase) {
    this.database = database
  }

  protected async first(statement: Statement, values: readonly unknown[], options?: CallOptions): Promise<T | null> {
    const [row] = await this.database.query<T>(statement, values, options)
    return row ?? null
  }

  /** Runs an INSERT that begins with LIVE_OWNER. Throws `not_found` without a live organization, `already_exists` for a taken id. */
  protected async createOwned(
    statement: Statement,
    values: readonly unknown[],
    { kind, id, organizationId }: { readonly kind: string; readonly id: string; readonly organizationId: string },
    options?: CallOptions,
  ): Promise<T> {
    const created = await this.first(statement, values, options).catch((cause: unknown) => {
      const violated = violation(cause)
      if (violated === 'unique') throw new DomainError('already_exists', `${kind} already exists: ${id}`, { cause })
      if (violated === null) throw cause
      return null
    })
    if (created === null) throw new DomainError('not_found', `Organization not found: ${organizationId}`)
    return created
  }
}
