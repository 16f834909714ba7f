import type { EndDevice } from '../domain/entities.ts'
import { toRfc3339, type Instant } from '../domain/instant.ts'
import type {
  CallOptions,
  EndDeviceChange,
  EndDeviceRepository,
  NewEndDevice,
  Page,
  PageRequest,
} from '../domain/ports.ts'
import type { PostgresDatabase, Statement } from './database.ts'
import { KeysetList, LIVE_OWNER, NEXT_UPDATED_AT, PostgresRepository } from './repository.ts'

const COLUMNS = `device_id AS "deviceId", organization_id AS "organizationId", name,
  COALESCE(payload_conversion, '') AS "payloadConversion", created_at AS "createdAt", updated_at AS "updatedAt",
  (SELECT seen.last_seen_at FROM end_device_last_seen seen WHERE seen.end_device_id = device_id) AS "lastSeenAt"`

const CREATE: Statement = {
  name: 'create_end_device',
  text: `${LIVE_OWNER} INSERT INTO end_devices (device_id, organization_id, name, payload_conversion)
    SELECT $2, owner.id, $3, $4 FROM owner RETURNING ${COLUMNS}`,
}

const GET: Statement = {
  name: 'get_end_device',
  text: `SELECT ${COLUMNS} FROM end_devices WHERE device_id = $1`,
}

const LIST = new KeysetList<EndDevice>({
  name: 'list_end_devices',
  select: `SELECT ${COLUMNS} FROM end_devices`,
  where: 'organization_id = $1',
  parameters: 1,
  idColumn: 'device_id',
  cursor: ({ createdAt, deviceId }) => ({ createdAt, id: deviceId }),
})

const UPDATE: Statement = {
  name: 'update_end_device',
  text: `UPDATE end_devices SET name = COALESCE($2, name), payload_conversion = COALESCE($3, payload_conversion),
    updated_at = ${NEXT_UPDATED_AT} WHERE device_id = $1 RETURNING ${COLUMNS}`,
}

const DELETE: Statement = {
  name: 'delete_end_device',
  text: `DELETE FROM end_devices WHERE device_id = $1 RETURNING ${COLUMNS}`,
}

/** End devices in PostgreSQL. */
export class PostgresEndDeviceRepository extends PostgresRepository<EndDevice> implements EndDeviceRepository {
  async create(device: NewEndDevice, options?: CallOptions): Promise<EndDevice> {
    const { deviceId, organizationId, name, payloadConversion } = device
    const values = [organizationId, deviceId, name, payloadConversion]
    return await this.createOwned(CREATE, values, { kind: 'End device', id: deviceId, organizationId }, options)
  }

  async get(deviceId: string, options?: CallOptions): Promise<EndDevice | null> {
    return await this.first(GET, [deviceId], options)
  }

  async list(organizationId: string, page: PageRequest, options?: CallOptions): Promise<Page<EndDevice>> {
    return await LIST.fetch(this.database, [organizationId], page, options)
  }

  async update(deviceId: string, change: EndDeviceChange, options?: CallOptions): Promise<EndDevice | null> {
    return await this.first(UPDATE, [deviceId, change.name ?? null, change.payloadConversion ?? null], options)
  }

  async delete(deviceId: string, options?: CallOptions): Promise<EndDevice | null> {
    return await this.first(DELETE, [deviceId], options)
  }
}

/**
 * Rows are locked in the order of their ids, so concurrent writers cannot deadlock. A device that is being deleted is skipped;
 * a device that is written cannot be deleted before the commit, so no orphaned row remains.
 */
const RECORD: Statement = {
  name: 'record_last_seen',
  text: `INSERT INTO end_device_last_seen (end_device_id, last_seen_at)
    SELECT device.device_id, LEAST(seen.at, now()) FROM unnest($1::text[], $2::timestamptz[]) AS seen (id, at)
      JOIN end_devices device ON device.device_id = seen.id
      ORDER BY device.device_id FOR KEY SHARE OF device SKIP LOCKED
    ON CONFLICT (end_device_id) DO UPDATE SET last_seen_at = excluded.last_seen_at
      WHERE end_device_last_seen.last_seen_at < excluded.last_seen_at OR end_device_last_seen.last_seen_at > now()`,
}

/** When each end device was last heard from. */
export class PostgresLastSeenStore {
  readonly #database: PostgresDatabase

  constructor(database: PostgresDatabase) {
    this.#database = database
  }

  /**
   * Keeps the later of the stored and the given time, capped at the present of the database's clock. Skips devices that do not
   * exist. Rejects as repositories do.
   */
  async record(seen: ReadonlyMap<string, Instant>, options?: CallOptions): Promise<void> {
    const instants = [...seen.values()].map((instant) => toRfc3339(instant))
    await this.#database.query(RECORD, [[...seen.keys()], instants], options)
  }
}

export type LastSeenStore = Pick<PostgresLastSeenStore, 'record'>
