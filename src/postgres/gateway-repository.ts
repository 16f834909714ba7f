import type { Gateway, GatewayStatus, JsonObject } from '../domain/entities.ts'
import type { Instant } from '../domain/instant.ts'
import type { CallOptions, GatewayChange, GatewayRepository, NewGateway, Page, PageRequest } from '../domain/ports.ts'
import type { PostgresDatabase, Statement } from './database.ts'
import { KeysetList, createOwned, LIVE_OWNER, NEXT_UPDATED_AT } from './repository.ts'

interface GatewayRow {
  readonly gateway_id: string
  readonly organization_id: string
  readonly name: string
  readonly gateway_type: string
  readonly gateway_config: JsonObject
  readonly status: GatewayStatus
  readonly created_at: Instant
  readonly updated_at: Instant
  readonly deleted_at: Instant | null
}

const NAMES = ['gateway_id', 'organization_id', 'name', 'gateway_type', 'gateway_config', 'status']
const TIMES = ['created_at', 'updated_at', 'deleted_at']
const COLUMNS = [...NAMES, ...TIMES].join(', ')

const CREATE: Statement = {
  name: 'create_gateway',
  text: `${LIVE_OWNER} INSERT INTO gateways (gateway_id, organization_id, name, gateway_type, gateway_config, status)
    SELECT $2, owner.id, $3, $4, $5::jsonb, $6 FROM owner RETURNING ${COLUMNS}`,
}

const GET: Statement = {
  name: 'get_gateway',
  text: `SELECT ${COLUMNS} FROM gateways WHERE gateway_id = $1 AND deleted_at IS NULL`,
}

const LIST = new KeysetList<GatewayRow, Gateway>({
  name: 'list_gateways',
  select: `SELECT ${COLUMNS} FROM gateways`,
  where: 'organization_id = $1 AND deleted_at IS NULL',
  parameters: 1,
  idColumn: 'gateway_id',
  entity: fromRow,
  cursor: ({ createdAt, gatewayId }) => ({ createdAt, id: gatewayId }),
})

const UPDATE: Statement = {
  name: 'update_gateway',
  text: `UPDATE gateways SET name = COALESCE($2, name), gateway_type = COALESCE($3, gateway_type),
    gateway_config = COALESCE($4::jsonb, gateway_config), status = COALESCE($5, status), updated_at = ${NEXT_UPDATED_AT}
    WHERE gateway_id = $1 AND deleted_at IS NULL RETURNING ${COLUMNS}`,
}

const DELETE: Statement = {
  name: 'delete_gateway',
  text: `UPDATE gateways SET deleted_at = clock_timestamp(), updated_at = ${NEXT_UPDATED_AT}
    WHERE gateway_id = $1 AND deleted_at IS NULL RETURNING ${COLUMNS}`,
}

const ALL: Statement = {
  name: 'list_all_gateways',
  text: `SELECT ${COLUMNS.replaceAll(/\w+/g, 'gateway.$&')} FROM gateways gateway
    JOIN organizations organization ON organization.id = gateway.organization_id
    WHERE gateway.deleted_at IS NULL AND organization.deleted_at IS NULL AND gateway.gateway_id > $1
    ORDER BY gateway.gateway_id LIMIT $2`,
}

const ALL_PAGE_SIZE = 500

/** Gateways in PostgreSQL. */
export class PostgresGatewayRepository implements GatewayRepository {
  readonly #database: PostgresDatabase

  constructor(database: PostgresDatabase) {
    this.#database = database
  }

  async create(gateway: NewGateway, options?: CallOptions): Promise<Gateway> {
    const { gatewayId, organizationId, name, gatewayType, gatewayConfig, status } = gateway
    const values = [organizationId, gatewayId, name, gatewayType, JSON.stringify(gatewayConfig), status]
    const owned = { kind: 'Gateway', id: gatewayId, organizationId }
    return fromRow(await createOwned<GatewayRow>(this.#database, CREATE, values, owned, options))
  }

  async get(gatewayId: string, options?: CallOptions): Promise<Gateway | null> {
    return first(await this.#database.query<GatewayRow>(GET, [gatewayId], options))
  }

  async list(organizationId: string, page: PageRequest, options?: CallOptions): Promise<Page<Gateway>> {
    return await LIST.fetch(this.#database, [organizationId], page, options)
  }

  async update(gatewayId: string, change: GatewayChange, options?: CallOptions): Promise<Gateway | null> {
    const config = change.gatewayConfig === undefined ? null : JSON.stringify(change.gatewayConfig)
    const values = [gatewayId, change.name ?? null, change.gatewayType ?? null, config, change.status ?? null]
    return first(await this.#database.query<GatewayRow>(UPDATE, values, options))
  }

  async delete(gatewayId: string, options?: CallOptions): Promise<Gateway | null> {
    return first(await this.#database.query<GatewayRow>(DELETE, [gatewayId], options))
  }

  async *listAll(options?: CallOptions): AsyncIterable<Gateway> {
    let after = ''
    for (;;) {
      const rows = await this.#database.query<GatewayRow>(ALL, [after, ALL_PAGE_SIZE], options)
      for (const row of rows) yield fromRow(row)
      const last = rows.at(-1)
      if (last === undefined || rows.length < ALL_PAGE_SIZE) return
      after = last.gateway_id
    }
  }
}

function first(rows: readonly GatewayRow[]): Gateway | null {
  const [row] = rows
  return row === undefined ? null : fromRow(row)
}

function fromRow(row: GatewayRow): Gateway {
  return {
    gatewayId: row.gateway_id,
    organizationId: row.organization_id,
    name: row.name,
    gatewayType: row.gateway_type,
    gatewayConfig: row.gateway_config,
    status: row.status,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    deletedAt: row.deleted_at,
  }
}
