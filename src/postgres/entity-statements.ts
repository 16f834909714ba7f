import type { QueryResultRow } from 'pg'
import type { Instant } from '../domain/instant.ts'

export interface StoredEntity extends QueryResultRow {
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
  /** A property that refers to another entity, and the constraint that checks it. */
  readonly reference?: { readonly property: keyof T; readonly constraint: string; readonly kind: string }
  /** The condition of a deletion. */
  readonly deletable?: string
  /**
   * Properties whose empty text is NULL in the table, for foreign keys. With `organizationId`, entities without an organization are
   * shared by all organizations.
   */
  readonly emptyAsNull?: readonly (keyof T)[]
  /** Properties that lists omit, with the expression that they read instead. */
  readonly unlisted?: Readonly<Partial<Record<keyof T, string>>>
}

/**
 * Selects the existing organization $1 and share-locks it until the end of the transaction, so that it cannot be deleted
 * meanwhile; waits for a concurrent deletion. (FOR KEY SHARE, which the foreign key takes, does not conflict with a soft delete.)
 */
const LIVE_OWNER = 'WITH owner AS (SELECT id FROM organizations WHERE id = $1 AND deleted_at IS NULL FOR SHARE)'

/** A time that increases even if two changes occur in one microsecond or the clock steps back. */
const NEXT_UPDATED_AT = "GREATEST(clock_timestamp(), updated_at + interval '1 microsecond')"

/** Returns the statements of a table. Their rows have the entity's property names, so a row is the entity. */
export function statementsOf<T extends StoredEntity>(definition: EntityTable<T>) {
  const { table, id, columns, changeable, deletable } = definition
  const text = new StatementText(definition)
  const { returning, isOwned, live } = text
  const byId = `WHERE ${columns[id]} = $1${live}`
  const created: readonly (keyof T)[] = [...(isOwned ? ['organizationId'] : []), id, ...changeable]
  const changes = changeable.map((property, index) => {
    const value = `COALESCE($${index + 2}, ${columns[property]})`
    return `${columns[property]} = ${text.written(property, value)}`
  })
  const touch = `updated_at = ${NEXT_UPDATED_AT}`
  const update = `UPDATE ${table} SET ${changes.join(', ')}, ${touch} ${byId}`
  const remove = live === '' ? `DELETE FROM ${table}` : `UPDATE ${table} SET deleted_at = clock_timestamp(), ${touch}`
  const condition = deletable === undefined ? '' : `AND ${deletable}`
  const select = text.select()
  return {
    created,
    select,
    create: { name: `create_${table}`, text: text.insert(created) },
    get: { name: `get_${table}`, text: `${select} ${byId}` },
    getMany: { name: `get_many_${table}`, text: `${select} WHERE ${columns[id]} = ANY($1)${live}` },
    firstPage: { name: `list_${table}_first`, text: text.list(false) },
    laterPage: { name: `list_${table}_later`, text: text.list(true) },
    update: { name: `update_${table}`, text: `${update} ${returning}` },
    updateUnchanged: {
      name: `update_unchanged_${table}`,
      text: `${update} AND updated_at = $${changeable.length + 2}::timestamptz ${returning}`,
    },
    delete: { name: `delete_${table}`, text: `${remove} ${byId} ${condition} ${returning}` },
  }
}

/** The parts of statements that depend on how the properties are stored. */
class StatementText<T extends StoredEntity> {
  readonly isOwned: boolean
  readonly live: string
  readonly #table: EntityTable<T>
  readonly #nullable: ReadonlySet<PropertyKey>

  constructor(table: EntityTable<T>) {
    this.isOwned = 'organizationId' in table.columns
    this.live = 'deletedAt' in table.columns ? ' AND deleted_at IS NULL' : ''
    this.#table = table
    this.#nullable = new Set(table.emptyAsNull)
  }

  select(replaced?: EntityTable<T>['unlisted']): string {
    return `SELECT ${this.#all(replaced)} FROM ${this.#table.table}`
  }

  get returning(): string {
    return `RETURNING ${this.#all()}`
  }

  /** Returns the expression of a value to write. */
  written(property: keyof T, value: string): string {
    return this.#nullable.has(property) ? `NULLIF(${value}, '')` : value
  }

  insert(created: readonly (keyof T)[]): string {
    const { table, columns } = this.#table
    const values = created.map((property, index) => this.written(property, `$${index + 1}`))
    const insert = `INSERT INTO ${table} (${created.map((property) => columns[property]).join(', ')})
      SELECT ${values.join(', ')}`
    if (!this.isOwned) return `${insert} ${this.returning}`
    if (!this.#canBeShared) return `${LIVE_OWNER} ${insert} FROM owner ${this.returning}`
    return `${LIVE_OWNER} ${insert} WHERE $1 = '' OR EXISTS (SELECT FROM owner) ${this.returning}`
  }

  /** The pages are in an order that an index has, so the cost of a page does not depend on its position. */
  list(isLater: boolean): string {
    const { id, columns, unlisted } = this.#table
    const [limit, afterTime, afterId] = this.isOwned ? ['$2', '$3', '$4'] : ['$1', '$2', '$3']
    const after = isLater ? `AND (created_at, ${columns[id]}) < (${afterTime}::timestamptz, ${afterId})` : ''
    const page = (condition: string) =>
      `${this.select(unlisted)} WHERE ${condition}${this.live} ${after}
        ORDER BY created_at DESC, ${columns[id]} DESC LIMIT ${limit}`
    if (!this.isOwned) return page('TRUE')
    const own = page('organization_id = $1')
    if (!this.#canBeShared) return own
    // A condition with OR would read all rows to sort them.
    return `SELECT * FROM ((${own}) UNION ALL (${page('organization_id IS NULL')})) AS listed
      ORDER BY "createdAt" DESC, "${String(id)}" DESC LIMIT ${limit}`
  }

  get #canBeShared(): boolean {
    return this.#nullable.has('organizationId')
  }

  #all(replaced?: EntityTable<T>['unlisted']): string {
    const entries = Object.entries<string>(this.#table.columns).map(([property, column]) => {
      const read = this.#nullable.has(property) ? `COALESCE(${column}, '')` : column
      return `${replaced?.[property] ?? read} AS "${property}"`
    })
    return entries.join(', ')
  }
}
