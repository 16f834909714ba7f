import type { Organization } from '../domain/entities.ts'
import { DomainError } from '../domain/errors.ts'
import type {
  CallOptions,
  NewOrganization,
  OrganizationRepository,
  Page,
  PageRequest,
  RetentionGroup,
  RetentionReader,
} from '../domain/ports.ts'
import type { PostgresDatabase, Statement } from './database.ts'
import { PostgresRepository } from './repository.ts'

/** A statement that waits until every transaction with a lock FOR SHARE on the row (a creation) has ended. */
const LOCK: Statement = {
  name: 'lock_organization',
  text: 'SELECT id FROM organizations WHERE id = $1 AND deleted_at IS NULL FOR UPDATE',
}

/** The organizations of one group, of at most $3, after the organization $2 with a retention of $1. */
const RETENTIONS: Statement = {
  name: 'list_organization_retentions',
  text: `SELECT retention_days AS days, array_agg(id ORDER BY id) AS "organizationIds" FROM (
      SELECT retention_days, id FROM organizations
      WHERE retention_days > 0 AND (retention_days, id) > ($1, $2) ORDER BY retention_days, id LIMIT $3
    ) AS page GROUP BY retention_days ORDER BY retention_days`,
}
/** Limits the length of a request to ClickHouse, which contains the ids. */
const RETENTION_PAGE = 200

export class PostgresOrganizationRepository
  extends PostgresRepository<Organization>
  implements OrganizationRepository, RetentionReader
{
  constructor(database: PostgresDatabase) {
    super(database, {
      kind: 'Organization',
      table: 'organizations',
      id: 'id',
      columns: {
        id: 'id',
        name: 'name',
        status: 'status',
        retentionDays: 'retention_days',
        createdAt: 'created_at',
        updatedAt: 'updated_at',
        deletedAt: 'deleted_at',
      },
      changeable: ['name', 'status', 'retentionDays'],
      deletable: `NOT EXISTS (SELECT FROM end_devices WHERE organization_id = $1)
        AND NOT EXISTS (SELECT FROM gateways WHERE organization_id = $1 AND deleted_at IS NULL)
        AND NOT EXISTS (SELECT FROM device_profiles WHERE organization_id = $1)`,
    })
  }

  /** Creates an organization; without `retentionDays`, its rows are kept. */
  override async create(organization: NewOrganization, options?: CallOptions): Promise<Organization> {
    return await super.create({ retentionDays: 0, ...organization }, options)
  }

  async *retentions(options?: CallOptions): AsyncGenerator<RetentionGroup> {
    for (let after: readonly [days: number, id: string] = [0, '']; ;) {
      const groups = await this.database.query<RetentionGroup>(RETENTIONS, [...after, RETENTION_PAGE], options)
      yield* groups
      const last = groups.at(-1)
      if (last === undefined) return
      after = [last.days, last.organizationIds.at(-1) ?? '']
    }
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
