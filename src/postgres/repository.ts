import { DomainError } from '../domain/errors.ts'
import { toRfc3339, type Instant } from '../domain/instant.ts'
import type { CallOptions, Change, Page, PageRequest } from '../domain/ports.ts'
import type { PostgresDatabase, Run, Statement } from './database.ts'
import { statementsOf, type EntityTable, type StoredEntity } from './entity-statements.ts'
import { violation } from './errors.ts'

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
    const values = this.statements.created.map((property) => parameter(entity[property]))
    const [created] = await run<T>(this.statements.create, values).catch((cause: unknown) => {
      const violated = violation(cause)
      if (violated?.kind !== 'foreign_key' || violated.constraint === this.#table.reference?.constraint)
        throw this.#translated(cause, entity)
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

  /** With `updatedAt`, updates the row only if it has not changed since that time. */
  protected async updateRow(run: Run, id: string, change: Change<T>, updatedAt?: Instant): Promise<T | null> {
    const values = this.#table.changeable.map((property) => parameter(change[property] ?? null))
    const [statement, condition] =
      updatedAt === undefined ? [this.statements.update, []] : [this.statements.updateUnchanged, [toRfc3339(updatedAt)]]
    const [updated] = await run<T>(statement, [id, ...values, ...condition]).catch((cause: unknown) => {
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

  /** Returns `already_exists` for a value that another row has, `not_found` for a missing reference; any other error unchanged. */
  #translated(cause: unknown, values: Change<T>): unknown {
    const { kind, id, unique, reference } = this.#table
    const violated = violation(cause)
    if (reference !== undefined && violated?.constraint === reference.constraint) {
      const message = `${reference.kind} not found: ${String(values[reference.property])}`
      return new DomainError('not_found', message, { cause })
    }
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

/** Returns a list as JSON, because pg sends lists as PostgreSQL's arrays. */
function parameter(value: unknown): unknown {
  return Array.isArray(value) ? JSON.stringify(value) : value
}
