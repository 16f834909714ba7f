import type { Gateway } from '../domain/entities.ts'
import type { ReadPoint } from '../domain/gateway-orchestration/version.ts'
import type {
  CallOptions,
  GatewayChange,
  GatewayRepository,
  GatewayTable,
  GatewayVersion,
  NewGateway,
  OverlapCandidates,
  Page,
  PageRequest,
} from '../domain/ports.ts'
import type { PostgresDatabase, Run, Statement } from './database.ts'
import { parseLsn } from './replication/change.ts'
import { OVERLAP_CANDIDATES, overlapCandidatesOf } from './overlap-candidates.ts'
import { PostgresRepository } from './repository.ts'

/** Held until the end of the transaction: the checked writes of one organization run one after the other. */
const LOCK_ORGANIZATION: Statement = {
  name: 'lock_gateways_of_organization',
  text: `SELECT pg_advisory_xact_lock(hashtextextended('gateways ' || $1, 0))`,
}
const LOCK_OWNER: Statement = {
  name: 'lock_gateways_of_owner',
  text: `SELECT pg_advisory_xact_lock(hashtextextended('gateways ' || organization_id, 0)) FROM gateways WHERE gateway_id = $1`,
}
/** A config can have 64 KiB. */
const CANDIDATES_PAGE_SIZE = 500

const VERSIONS_PAGE_SIZE = 1000
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
      changeable: ['name', 'gatewayType', 'gatewayConfig'],
    })
  }

  override async create(
    gateway: NewGateway,
    options?: CallOptions,
    check?: (candidates: OverlapCandidates) => Promise<void>,
  ): Promise<Gateway> {
    if (check === undefined) return await super.create(gateway, options)
    return await this.database.transaction(async (run) => {
      await run(LOCK_ORGANIZATION, [gateway.organizationId])
      await check((...near) => this.#candidates(run, gateway.organizationId, ...near))
      return await this.insertRow(run, gateway)
    }, options)
  }

  /** Reads the row after it has the lock: a statement reads the rows that were committed before it began. */
  override async update(
    id: string,
    change: GatewayChange,
    options?: CallOptions,
    check?: (stored: Gateway, candidates: OverlapCandidates) => Promise<void>,
  ): Promise<Gateway | null> {
    if (check === undefined) return await super.update(id, change, options)
    return await this.database.transaction(async (run) => {
      await run(LOCK_OWNER, [id])
      const [stored] = await run<Gateway>(this.statements.get, [id])
      if (stored === undefined) return null
      await check(stored, (...near) => this.#candidates(run, stored.organizationId, ...near))
      return await this.updateRow(run, id, change)
    }, options)
  }

  async *#candidates(
    run: Run,
    organizationId: string,
    ...[host, topicFilter]: Parameters<OverlapCandidates>
  ): AsyncIterable<readonly Gateway[]> {
    const values = overlapCandidatesOf(organizationId, host, topicFilter)
    const ids = (await run<{ gatewayId: string }>(OVERLAP_CANDIDATES, values)).map(({ gatewayId }) => gatewayId)
    for (let start = 0; start < ids.length; start += CANDIDATES_PAGE_SIZE) {
      yield await this.#read(run, ids.slice(start, start + CANDIDATES_PAGE_SIZE))
    }
  }

  async list(organizationId: string, page: PageRequest, options?: CallOptions): Promise<Page<Gateway>> {
    return await this.page(this.runner(options), [organizationId], page)
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
    return gatewayIds.length === 0 ? [] : await this.#read(this.runner(options), gatewayIds)
  }

  async #read(run: Run, gatewayIds: readonly string[]): Promise<readonly Gateway[]> {
    const text = `${this.statements.select} WHERE deleted_at IS NULL AND gateway_id = ANY($1) ORDER BY gateway_id`
    return await run<Gateway>({ name: 'get_all_gateways', text }, [gatewayIds])
  }
}
