import type { Gateway } from '../domain/entities.ts'
import type { CallOptions, GatewayChange, GatewayRepository, NewGateway, Page, PageRequest } from '../domain/ports.ts'
import type { Statement } from './database.ts'
import { KeysetList, LIVE_OWNER, NEXT_UPDATED_AT, PostgresRepository } from './repository.ts'

const COLUMNS = `gateway_id AS "gatewayId", organization_id AS "organizationId", name, gateway_type AS "gatewayType",
  gateway_config AS "gatewayConfig", status, created_at AS "createdAt", updated_at AS "updatedAt", deleted_at AS "deletedAt"`

const CREATE: Statement = {
  name: 'create_gateway',
  text: `${LIVE_OWNER} INSERT INTO gateways (gateway_id, organization_id, name, gateway_type, gateway_config, status)
    SELECT $2, owner.id, $3, $4, $5::jsonb, $6 FROM owner RETURNING ${COLUMNS}`,
}

const GET: Statement = {
  name: 'get_gateway',
  text: `SELECT ${COLUMNS} FROM gateways WHERE gateway_id = $1 AND deleted_at IS NULL`,
}

const LIST = new KeysetList<Gateway>({
  name: 'list_gateways',
  select: `SELECT ${COLUMNS} FROM gateways`,
  where: 'organization_id = $1 AND deleted_at IS NULL',
  parameters: 1,
  idColumn: 'gateway_id',
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

const LIST_ALL: Statement = {
  name: 'list_all_gateways',
  text: `SELECT ${COLUMNS} FROM gateways WHERE deleted_at IS NULL AND gateway_id > $1
    AND organization_id IN (SELECT id FROM organizations WHERE organizations.deleted_at IS NULL)
    ORDER BY gateway_id LIMIT $2`,
}

const LIST_ALL_PAGE_SIZE = 500

/** Gateways in PostgreSQL. */
export class PostgresGatewayRepository extends PostgresRepository<Gateway> implements GatewayRepository {
  async create(gateway: NewGateway, options?: CallOptions): Promise<Gateway> {
    const { gatewayId, organizationId, name, gatewayType, gatewayConfig, status } = gateway
    const values = [organizationId, gatewayId, name, gatewayType, JSON.stringify(gatewayConfig), status]
    return await this.createOwned(CREATE, values, { kind: 'Gateway', id: gatewayId, organizationId }, options)
  }

  async get(gatewayId: string, options?: CallOptions): Promise<Gateway | null> {
    return await this.first(GET, [gatewayId], options)
  }

  async list(organizationId: string, page: PageRequest, options?: CallOptions): Promise<Page<Gateway>> {
    return await LIST.fetch(this.database, [organizationId], page, options)
  }

  async update(gatewayId: string, change: GatewayChange, options?: CallOptions): Promise<Gateway | null> {
    const config = change.gatewayConfig === undefined ? null : JSON.stringify(change.gatewayConfig)
    const values = [gatewayId, change.name ?? null, change.gatewayType ?? null, config, change.status ?? null]
    return await this.first(UPDATE, values, options)
  }

  async delete(gatewayId: string, options?: CallOptions): Promise<Gateway | null> {
    return await this.first(DELETE, [gatewayId], options)
  }

  async *listAll(options?: CallOptions): AsyncIterable<Gateway> {
    let after = ''
    for (;;) {
      const gateways = await this.database.query<Gateway>(LIST_ALL, [after, LIST_ALL_PAGE_SIZE], options)
      yield* gateways
      const last = gateways.at(-1)
      if (last === undefined || gateways.length < LIST_ALL_PAGE_SIZE) return
      after = last.gatewayId
    }
  }
}
