import type { Gateway } from '../domain/entities.ts'
import type { ReadPoint } from '../domain/gateway-orchestration/version.ts'
import type {
  CallOptions,
  GatewayRepository,
  GatewayTable,
  GatewayVersion,
  Page,
  PageRequest,
} from '../domain/ports.ts'
import type { PostgresDatabase, Statement } from './database.ts'
import { parseLsn } from './replication/change.ts'
import { PostgresRepository } from './repository.ts'

const VERSIONS_PAGE_SIZE = 500
const VERSIONS: Statement = {
  name: 'list_gateway_versions',
  text: `SELECT gateway_id AS "gatewayId", updated_at AS "updatedAt" FROM gateways
    WHERE deleted_at IS NULL AND gateway_id > $1
    AND organization_id IN (SELECT id FROM organizations WHERE organizations.deleted_at IS NULL)
    ORDER BY gateway_id LIMIT $2`,
}
const LOG_POSITION: Statement = { name: 'log_position', text: 'SELECT pg_current_wal_insert_lsn()::text AS lsn' }
/** Not `pg_snapshot_xip`, which omits the transactions that began after the last one that has ended. */
const IN_PROGRESS: Statement = {
  name: 'transactions_in_progress',
  text: `SELECT transactionid::text AS xid FROM pg_locks WHERE locktype = 'transactionid' AND granted`,
}

export class PostgresGatewayRepository extends PostgresRepository<Gateway> implements GatewayRepository, GatewayTable {
  constructor(database: PostgresDatabase) {
    super(database, {
      kind: 'Gateway',
      table: 'gateways',
      id: 'gatewayId',
      columns: {
        gatewayId: 'gateway_id',
        organizationId: 'organization_id',
        name: 'name',
        gatewayType: 'gateway_type',
        gatewayConfig: 'gateway_config',
        status: 'status',
        createdAt: 'created_at',
        updatedAt: 'updated_at',
        deletedAt: 'deleted_at',
      },
      changeable: ['name', 'gatewayType', 'gatewayConfig', 'status'],
    })
  }

  async list(organizationId: string, page: PageRequest, options?: CallOptions): Promise<Page<Gateway>> {
    return await this.page([organizationId], page, options)
  }

  /**
   * Reads the position, then the transactions in progress: a commit before the position is visible then, or its transaction is in
   * progress, because a commit writes to the log, becomes visible and releases its locks in this order (PostgreSQL's
   * `CommitTransaction`).
   */
  async readPoint(options?: CallOptions): Promise<ReadPoint> {
    const [position] = await this.database.query<{ lsn: string }>(LOG_POSITION, [], options)
    const locks = await this.database.query<{ xid: string }>(IN_PROGRESS, [], options)
    const inProgress = new Set(locks.map(({ xid }) => Number(xid)))
    return { type: 'read', lsn: parseLsn(position?.lsn ?? ''), inProgress }
  }

  async *versions(options?: CallOptions): AsyncIterable<readonly GatewayVersion[]> {
    let after = ''
    for (;;) {
      const page = await this.database.query<GatewayVersion>(VERSIONS, [after, VERSIONS_PAGE_SIZE], options)
      yield page
      const last = page.at(-1)
      if (last === undefined || page.length < VERSIONS_PAGE_SIZE) return
      after = last.gatewayId
    }
  }

  async getAll(gatewayIds: readonly string[], options?: CallOptions): Promise<readonly Gateway[]> {
    if (gatewayIds.length === 0) return []
    const text = `${this.statements.select} WHERE deleted_at IS NULL AND gateway_id = ANY($1) ORDER BY gateway_id`
    return await this.database.query<Gateway>({ name: 'get_all_gateways', text }, [gatewayIds], options)
  }
}
