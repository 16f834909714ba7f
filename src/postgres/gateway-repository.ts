import type { Gateway } from '../domain/entities.ts'
import type { CallOptions, GatewayRepository, Page, PageRequest } from '../domain/ports.ts'
import type { PostgresDatabase } from './database.ts'
import { PostgresRepository } from './repository.ts'

const LIST_ALL_PAGE_SIZE = 500

export class PostgresGatewayRepository extends PostgresRepository<Gateway> implements GatewayRepository {
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

  async *listAll(options?: CallOptions): AsyncIterable<Gateway> {
    const text = `${this.statements.select} WHERE deleted_at IS NULL AND gateway_id > $1
      AND organization_id IN (SELECT id FROM organizations WHERE organizations.deleted_at IS NULL)
      ORDER BY gateway_id LIMIT $2`
    let after = ''
    for (;;) {
      const values = [after, LIST_ALL_PAGE_SIZE]
      const gateways = await this.database.query<Gateway>({ name: 'list_all_gateways', text }, values, options)
      yield* gateways
      const last = gateways.at(-1)
      if (last === undefined || gateways.length < LIST_ALL_PAGE_SIZE) return
      after = last.gatewayId
    }
  }
}
