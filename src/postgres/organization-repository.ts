import type { Organization } from '../domain/entities.ts'
import { DomainError } from '../domain/errors.ts'
import type { CallOptions, OrganizationRepository, Page, PageRequest } from '../domain/ports.ts'
import type { PostgresDatabase, Statement } from './database.ts'
import { PostgresRepository } from './repository.ts'

/** A statement that waits until every transaction with a lock FOR SHARE on the row (a creation) has ended. */
const LOCK: Statement = {
  name: 'lock_organization',
  text: 'SELECT id FROM organizations WHERE id = $1 AND deleted_at IS NULL FOR UPDATE',
}

export class PostgresOrganizationRepository extends PostgresRepository<Organization> implements OrganizationRepository {
  constructor(database: PostgresDatabase) {
    super(database, {
      kind: 'Organization',
      table: 'organizations',
      id: 'id',
      columns: {
        id: 'id',
        name: 'name',
        status: 'status',
        createdAt: 'created_at',
        updatedAt: 'updated_at',
        deletedAt: 'deleted_at',
      },
      changeable: ['name', 'status'],
      deletable: `NOT EXISTS (SELECT FROM end_devices WHERE organization_id = $1)
        AND NOT EXISTS (SELECT FROM gateways WHERE organization_id = $1 AND deleted_at IS NULL)
        AND NOT EXISTS (SELECT FROM device_profiles WHERE organization_id = $1)`,
    })
  }

  async list(page: PageRequest, options?: CallOptions): Promise<Page<Organization>> {
    return await this.page(this.runner(options), [], page)
  }

  /**
   * Locks and deletes in two statements: a statement reads only rows committed before it began, so the second statement reads
   * the rows created while the first waited for the lock.
   */
  override async delete(id: string, options?: CallOptions): Promise<Organization | null> {
    return await this.database.transaction(async (run) => {
      const locked = await run(LOCK, [id])
      if (locked.length === 0) return null
      const [deleted] = await run<Organization>(this.statements.delete, [id])
      if (deleted !== undefined) return deleted
      const message = `Organization ${id} still has gateways, end devices or device profiles; delete them first`
      throw new DomainError('failed_precondition', message)
    }, options)
  }
}
