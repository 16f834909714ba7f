import type { QueryResultRow } from 'pg'
import { DomainError } from '../domain/errors.ts'
import { toRfc3339, type Instant } from '../domain/instant.ts'
import type { CallOptions, Change, Page, PageRequest } from '../domain/ports.ts'
import type { PostgresDatabase, Run, Statement } from './database.ts'
import { violation } from './errors.ts'

interface StoredEntity extends QueryResultRow {
  readonly createdAt: Instant
}

/** The table of an entity. */
export interface EntityTable<T extends StoredEntity> {
  /** The name of the entity in errors: `End device`. */
  readonly kind: string
  readonly table: string
  readonly id: keyof T
  /**
   * The column of each property, or the expression that reads it. With `organizationId`, an organization owns the entity; with
   * `deletedAt`, a deleted row stays.
   */
  readonly columns: Readonly<Record<keyof T, string>>
  /** The properties that callers set when they create and update. */
  readonly changeable: readonly (keyof T)[]
  /** A property that is unique in its organization, the name of its index and of its field. */
  readonly unique?: { readonly property: keyof T; readonly index: string; readonly field: string }
  /** The condition of a deletion. */
  readonly deletable?: string
}

/**
 * Selects the existing organization $1 and share-locks it until the end of the transaction, so that it cannot be deleted
 * meanwhile; waits for a concurrent deletion. (FOR KEY SHARE, which the foreign key takes, does not conflict with a soft delete.)
 */
const LIVE_OWNER = 'WITH owner AS (SELECT id FROM organizations WHERE id = $1 AND deleted_at IS NULL FOR SHARE)'

/** A time that increases even if two changes occur in one microsecond or the clock steps back. */
const NEXT_UPDATED_AT = "GREATEST(clock_timestamp(), updated_at + interval '1 microsecond')"

/** Returns the statements of a table. Their rows have the entity's property names, so a row is the entity. */
function statementsOf<T extends StoredEntity>({ table, id, columns, changeable, deletable }: EntityTable<T>) {
  const all = Object.entries(columns).map(([property, expression]) => `${expression} AS "${property}"`)
  const [select, returning] = [`SELECT ${all.join(', ')} FROM ${table}`, `RETURNING ${all.join(', ')}`]
  const isOwned = 'organizationId' in columns
  const live = 'deletedAt' in columns ? ' AND deleted_at IS NULL' : ''
  const byId = `WHERE ${columns[id]} = $1${live}`

  const created: readonly (keyof T)[] = [...(isOwned ? ['organizationId'] : []), id, ...changeable]
  const insert = `INSERT INTO ${table} (${created.map((property) => columns[property]).join(', ')})
    SELECT ${created.map((_property, index) => `$${index + 1}`).join(', ')}`
  const changes = changeable.map(
    (property, index) => `${columns[property]} = COALESCE($${index + 2}, ${columns[property]})`,
  )
  const touch = `updated_at = ${NEXT_UPDATED_AT}`
  const remove = live === '' ? `DELETE FROM ${table}` : `UPDATE ${table} SET deleted_at = clock_timestamp(), ${touch}`
  const condition = deletable === undefined ? '' : `AND ${deletable}`

  // The pages are in an order that an index has, so the cost of a page does not depend on its position.
  const list = `${select} WHERE ${isOwned ? 'organization_id = $1' : 'TRUE'}${live}`
  const [limit, afterTime, afterId] = isOwned ? ['$2', '$3', '$4'] : ['$1', '$2', '$3']
  const after = `AND (created_at, ${columns[id]}) < (${afterTime}::timestamptz, ${afterId})`
  const order = `ORDER BY created_at DESC, ${columns[id]} DESC LIMIT ${limit}`
  return {
    created,
    select,
    create: {
      name: `create_${table}`,
      text: isOwned ? `${LIVE_OWNER} ${insert} FROM owner ${returning}` : `${insert} ${returning}`,
    },
    get: { name: `get_${table}`, text: `${select} ${byId}` },
    getMany: { name: `get_many_${table}`, text: `${select} WHERE ${columns[id]} = ANY($1)${live}` },
    firstPage: { name: `list_${table}_first`, text: `${list} ${order}` },
    laterPage: { name: `list_${table}_later`, text: `${list} ${after} ${order}` },
    update: {
      name: `update_${table}`,
      text: `UPDATE ${table} SET ${changes.join(', ')}, ${touch} ${byId} ${returning}`,
    },
    delete: { name: `delete_${table}`, text: `${remove} ${byId} ${condition} ${returning}` },
  }
}

/** Stores the entities of one table. */
export abstract class PostgresRepository<T extends StoredEntity> {
  protected readonly database: PostgresDatabase
  protected readonly statements: ReturnType<typeof statementsOf<T>>
  readonly #table: EntityTable<T>

  constructor(database: PostgresDatabase, table: EntityTable<T>) {
    this.database = database
    this.statements = statementsOf(table)
    this.#table = table
  }

  async create(entity: Partial<T>, options?: CallOptions): Promise<T> {
    return await this.insertRow(this.runner(options), entity)
  }

  protected async insertRow(run: Run, entity: Partial<T>): Promise<T> {
    const values = this.statements.created.map((property) => entity[property])
    const [created] = await run<T>(this.statements.create, values).catch((cause: unknown) => {
      if (violation(cause)?.kind !== 'foreign_key') throw this.#translated(cause, entity)
      return []
    })
    if (created === undefined) throw new DomainError('not_found', `Organization not found: ${entity['organizationId']}`)
    return created
  }

  async get(id: string, options?: CallOptions): Promise<T | null> {
    return await this.first(this.statements.get, [id], options)
  }

  async getMany(ids: readonly string[], options?: CallOptions): Promise<ReadonlyMap<string, T>> {
    const rows = await this.database.query<T>(this.statements.getMany, [ids], options)
    return new Map(rows.map((row) => [String(row[this.#table.id]), row]))
  }

  async update(id: string, change: Change<T>, options?: CallOptions): Promise<T | null> {
    return await this.updateRow(this.runner(options), id, change)
  }

  protected async updateRow(run: Run, id: string, change: Change<T>): Promise<T | null> {
    const values = this.#table.changeable.map((property) => change[property] ?? null)
    const [updated] = await run<T>(this.statements.update, [id, ...values]).catch((cause: unknown) => {
      throw this.#translated(cause, change)
    })
    return updated ?? null
  }

  async delete(id: string, options?: CallOptions): Promise<T | null> {
    return await this.first(this.statements.delete, [id], options)
  }

  /** Reads a page; `owner` is the organization, if the entity has one. Fetches one more row to detect whether a page follows. */
  protected async page(run: Run, owner: readonly string[], { size, after }: PageRequest): Promise<Page<T>> {
    const statement = after === null ? this.statements.firstPage : this.statements.laterPage
    const position = after === null ? [] : [toRfc3339(after.createdAt), after.id]
    const rows = await run<T>(statement, [...owner, size + 1, ...position])
    const items = rows.slice(0, size)
    const last = items.at(-1)
    if (rows.length <= size || last === undefined) return { items, next: null }
    return { items, next: { createdAt: last.createdAt, id: String(last[this.#table.id]) } }
  }

  /** Returns `already_exists` for a value that another row has; any other error unchanged. */
  #translated(cause: unknown, values: Change<T>): unknown {
    const { kind, id, unique } = this.#table
    const violated = violation(cause)
    if (violated?.kind !== 'unique') return cause
    const taken =
      unique !== undefined && violated.constraint === unique.index
        ? `${unique.field} ${String(values[unique.property])}`
        : String(values[id])
    return new DomainError('already_exists', `${kind} already exists: ${taken}`, { cause })
  }

  protected runner(options: CallOptions | undefined): Run {
    return (statement, values) => this.database.query(statement, values, options)
  }

  protected async first(statement: Statement, values: readonly unknown[], options?: CallOptions): Promise<T | null> {
    const [row] = await this.database.query<T>(statement, values, options)
    return row ?? null
  }
}
