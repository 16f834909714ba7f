import type { CapturedTable } from '../../src/postgres/replication/captured-table.ts'
import { endDeviceEntity } from './end-device-entity.ts'
import type { Entity } from './entity.ts'
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
