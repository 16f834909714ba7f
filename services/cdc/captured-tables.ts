import type { CapturedTable } from '../../src/postgres/replication/captured-table.ts'
import type { PostgresServer } from '../../src/postgres/replication/replication-connection.ts'
import { endDeviceEntity } from './end-device-entity.ts'
import type { Entity } from './entity.ts'
import type { CdcEnvironment } from './environment.ts'
import { gatewayEntity } from './gateway-entity.ts'
import { organizationEntity } from './organization-entity.ts'

/** Whose changes become events. */
export const ENTITIES: readonly Entity[] = [organizationEntity, endDeviceEntity, gatewayEntity]

/** Their tables. */
export const CAPTURED_TABLES: readonly CapturedTable[] = ENTITIES.map(({ table, key, columns, readsOldOnUpdate }) => ({
  ...table,
  key,
  oldColumns: columns,
  wantsOldOnUpdate: readsOldOnUpdate,
}))

/** Where they are. */
export function serverOf(environment: CdcEnvironment): PostgresServer {
  return {
    host: environment.PONIX_POSTGRES_HOST,
    port: environment.PONIX_POSTGRES_PORT,
    database: environment.PONIX_POSTGRES_DATABASE,
    username: environment.PONIX_POSTGRES_USERNAME,
    password: environment.PONIX_POSTGRES_PASSWORD,
  }
}
