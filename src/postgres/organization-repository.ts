import type { Organization, OrganizationStatus } from '../domain/entities.ts'
import { DomainError } from '../domain/errors.ts'
import type { Instant } from '../domain/instant.ts'
import type {
  CallOptions,
  NewOrganization,
  OrganizationChange,
  OrganizationRepository,
  Page,
  PageRequest,
} from '../domain/ports.ts'
import type { PostgresDatabase, Statement } from './database.ts'
import { violation } from './errors.ts'
import { KeysetList, NEXT_UPDATED_AT } from './repository.ts'

interface OrganizationRow {
  readonly id: string
  readonly name: string
  readonly status: OrganizationStatus
  readonly created_at: Instant
  readonly updated_at: Instant
  readonly deleted_at: Instant | null
}

const COLUMNS = 'id, name, status, created_at, updated_at, deleted_at'

const CREATE: Statement = {
  name: 'create_organization',
  text: `INSERT INTO organizations (id, name, status) VALUES ($1, $2, $3) RETURNING ${COLUMNS}`,
}

const GET: Statement = {
  name: 'get_organization',
  text: `SELECT ${COLUMNS} FROM organizations WHERE id = $1 AND deleted_at IS NULL`,
}

const LIST = new KeysetList<OrganizationRow, Organization>({
  name: 'list_organizations',
  select: `SELECT ${COLUMNS} FROM organizations`,
  where: 'deleted_at IS NULL',
  parameters: 0,
  idColumn: 'id',
  entity: fromRow,
  cursor: ({ createdAt, id }) => ({ createdAt, id }),
})

const UPDATE: Statement = {
  name: 'update_organization',
  text: `UPDATE organizations
    SET name = COALESCE($2, name), status = COALESCE($3, status), updated_at = ${NEXT_UPDATED_AT}
    WHERE id = $1 AND deleted_at IS NULL RETURNING ${COLUMNS}`,
}

/** Waits for the end of every creation that holds the row FOR SHARE. */
const LOCK: Statement = {
  name: 'lock_organization',
  text: 'SELECT id FROM organizations WHERE id = $1 AND deleted_at IS NULL FOR UPDATE',
}

const DELETE: Statement = {
  name: 'delete_organization',
  text: `UPDATE organizations SET deleted_at = clock_timestamp(), updated_at = ${NEXT_UPDATED_AT}
    WHERE id = $1 AND deleted_at IS NULL
    AND NOT EXISTS (SELECT FROM end_devices WHERE organization_id = $1)
    AND NOT EXISTS (SELECT FROM gateways WHERE organization_id = $1 AND deleted_at IS NULL)
    RETURNING ${COLUMNS}`,
}

/** Organizations in PostgreSQL. */
export class PostgresOrganizationRepository implements OrganizationRepository {
  readonly #database: PostgresDatabase

  constructor(database: PostgresDatabase) {
    this.#database = database
  }

  async create({ id, name, status }: NewOrganization, options?: CallOptions): Promise<Organization> {
    try {
      return one(await this.#database.query<OrganizationRow>(CREATE, [id, name, status], options))
    } catch (error) {
      if (violation(error) !== 'unique') throw error
      throw new DomainError('already_exists', `Organization already exists: ${id}`, { cause: error })
    }
  }

  async get(id: string, options?: CallOptions): Promise<Organization | null> {
    return first(await this.#database.query<OrganizationRow>(GET, [id], options))
  }

  async list(page: PageRequest, options?: CallOptions): Promise<Page<Organization>> {
    return await LIST.fetch(this.#database, [], page, options)
  }

  async update(id: string, change: OrganizationChange, options?: CallOptions): Promise<Organization | null> {
    const values = [id, change.name ?? null, change.status ?? null]
    return first(await this.#database.query<OrganizationRow>(UPDATE, values, options))
  }

  /**
   * Two statements, because the second must see what was created while the first waited for the row's lock: a statement sees
   * only what was committed when it began.
   */
  async delete(id: string, options?: CallOptions): Promise<Organization | null> {
    return await this.#database.transaction(async (run) => {
      const locked = await run(LOCK, [id])
      if (locked.length === 0) return null
      const deleted = first(await run<OrganizationRow>(DELETE, [id]))
      if (deleted !== null) return deleted
      throw new DomainError(
        'failed_precondition',
        `Organization ${id} still has gateways or end devices; delete them first`,
      )
    }, options)
  }
}

function first(rows: readonly OrganizationRow[]): Organization | null {
  const [row] = rows
  return row === undefined ? null : fromRow(row)
}

function one(rows: readonly OrganizationRow[]): Organization {
  const organization = first(rows)
  if (organization === null) throw new Error('INSERT into organizations returned no row')
  return organization
}

function fromRow(row: OrganizationRow): Organization {
  return {
    id: row.id,
    name: row.name,
    status: row.status,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    deletedAt: row.deleted_at,
  }
}
