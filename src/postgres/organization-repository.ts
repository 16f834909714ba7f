import type { Organization } from '../domain/entities.ts'
import { DomainError } from '../domain/errors.ts'
import type {
  CallOptions,
  NewOrganization,
  OrganizationChange,
  OrganizationRepository,
  Page,
  PageRequest,
} from '../domain/ports.ts'
import type { Statement } from './database.ts'
import { violation } from './errors.ts'
import { KeysetList, NEXT_UPDATED_AT, PostgresRepository } from './repository.ts'

const COLUMNS = 'id, name, status, created_at AS "createdAt", updated_at AS "updatedAt", deleted_at AS "deletedAt"'

const CREATE: Statement = {
  name: 'create_organization',
  text: `INSERT INTO organizations (id, name, status) VALUES ($1, $2, $3) RETURNING ${COLUMNS}`,
}

const GET: Statement = {
  name: 'get_organization',
  text: `SELECT ${COLUMNS} FROM organizations WHERE id = $1 AND deleted_at IS NULL`,
}

const LIST = new KeysetList<Organization>({
  name: 'list_organizations',
  select: `SELECT ${COLUMNS} FROM organizations`,
  where: 'deleted_at IS NULL',
  parameters: 0,
  idColumn: 'id',
  cursor: ({ createdAt, id }) => ({ createdAt, id }),
})

const UPDATE: Statement = {
  name: 'update_organization',
  text: `UPDATE organizations
    SET name = COALESCE($2, name), status = COALESCE($3, status), updated_at = ${NEXT_UPDATED_AT}
    WHERE id = $1 AND deleted_at IS NULL RETURNING ${COLUMNS}`,
}

/** Waits until every transaction that holds the row FOR SHARE (a creation) has ended. */
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
export class PostgresOrganizationRepository extends PostgresRepository<Organization> implements OrganizationRepository {
  async create({ id, name, status }: NewOrganization, options?: CallOptions): Promise<Organization> {
    const created = await this.first(CREATE, [id, name, status], options).catch((cause: unknown) => {
      if (violation(cause) !== 'unique') throw cause
      throw new DomainError('already_exists', `Organization already exists: ${id}`, { cause })
    })
    if (created === null) throw new Error('INSERT into organizations returned no row')
    return created
  }

  async get(id: string, options?: CallOptions): Promise<Organization | null> {
    return await this.first(GET, [id], options)
  }

  async list(page: PageRequest, options?: CallOptions): Promise<Page<Organization>> {
    return await LIST.fetch(this.database, [], page, options)
  }

  async update(id: string, change: OrganizationChange, options?: CallOptions): Promise<Organization | null> {
    return await this.first(UPDATE, [id, change.name ?? null, change.status ?? null], options)
  }

  /**
   * Locks and deletes in two statements: a statement sees only what was committed before it began, so the second one sees the
   * rows created while the first waited for the lock.
   */
  async delete(id: string, options?: CallOptions): Promise<Organization | null> {
    return await this.database.transaction(async (run) => {
      const locked = await run(LOCK, [id])
      if (locked.length === 0) return null
      const [deleted] = await run<Organization>(DELETE, [id])
      if (deleted !== undefined) return deleted
      const message = `Organization ${id} still has gateways or end devices; delete them first`
      throw new DomainError('failed_precondition', message)
    }, options)
  }
}
