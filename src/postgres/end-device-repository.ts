import type { EndDevice } from '../domain/entities.ts'
import { type Instant, toRfc3339 } from '../domain/instant.ts'
import type {
  CallOptions,
  EndDeviceChange,
  EndDeviceRepository,
  NewEndDevice,
  Page,
  PageRequest,
} from '../domain/ports.ts'
import type { PostgresDatabase, Statement } from './database.ts'
import { KeysetList, createOwned, LIVE_OWNER, NEXT_UPDATED_AT } from './repository.ts'

interface EndDeviceRow {
  readonly device_id: string
  readonly organization_id: string
  readonly name: string
  readonly payload_conversion: string | null
  readonly created_at: Instant
  readonly updated_at: Instant
  readonly last_seen_at: Instant | null
}

const COLUMNS = `device_id, organization_id, name, payload_conversion, created_at, updated_at,
  (SELECT seen.last_seen_at FROM end_device_last_seen seen WHERE seen.end_device_id = device_id) AS last_seen_at`

const CREATE: Statement = {
  name: 'create_end_device',
  text: `${LIVE_OWNER} INSERT INTO end_devices (device_id, organization_id, name, payload_conversion)
    SELECT $2, owner.id, $3, $4 FROM owner RETURNING ${COLUMNS}`,
}

const GET: Statement = {
  name: 'get_end_device',
  text: `SELECT ${COLUMNS} FROM end_devices WHERE device_id = $1`,
}

const LIST = new KeysetList<EndDeviceRow, EndDevice>({
  name: 'list_end_devices',
  select: `SELECT ${COLUMNS} FROM end_devices`,
  where: 'organization_id = $1',
  parameters: 1,
  idColumn: 'device_id',
  entity: fromRow,
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
export class PostgresEndDeviceRepository implements EndDeviceRepository {
  readonly #database: PostgresDatabase

  constructor(database: PostgresDatabase) {
    this.#database = database
  }

  async create(device: NewEndDevice, options?: CallOptions): Promise<EndDevice> {
    const { deviceId, organizationId, name, payloadConversion } = device
    const values = [organizationId, deviceId, name, payloadConversion]
    const owned = { kind: 'End device', id: deviceId, organizationId }
    return fromRow(await createOwned<EndDeviceRow>(this.#database, CREATE, values, owned, options))
  }

  async get(deviceId: string, options?: CallOptions): Promise<EndDevice | null> {
    return first(await this.#database.query<EndDeviceRow>(GET, [deviceId], options))
  }

  async list(organizationId: string, page: PageRequest, options?: CallOptions): Promise<Page<EndDevice>> {
    return await LIST.fetch(this.#database, [organizationId], page, options)
  }

  async update(deviceId: string, change: EndDeviceChange, options?: CallOptions): Promise<EndDevice | null> {
    const values = [deviceId, change.name ?? null, change.payloadConversion ?? null]
    return first(await this.#database.query<EndDeviceRow>(UPDATE, values, options))
  }

  async delete(deviceId: string, options?: CallOptions): Promise<EndDevice | null> {
    return first(await this.#database.query<EndDeviceRow>(DELETE, [deviceId], options))
  }
}

function first(rows: readonly EndDeviceRow[]): EndDevice | null {
  const [row] = rows
  return row === undefined ? null : fromRow(row)
}

function fromRow(row: EndDeviceRow): EndDevice {
  return {
    deviceId: row.device_id,
    organizationId: row.organization_id,
    name: row.name,
    payloadConversion: row.payload_conversion ?? '',
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    lastSeenAt: row.last_seen_at,
  }
}

/** When devices were last heard. */
export interface LastSeenStore {
  /**
   * Keeps the later of what is known and what is given, and nothing later than the present of the store's own clock. Devices that
   * do not exist are left out. Rejects as repositories do.
   */
  record(seen: ReadonlyMap<string, Instant>, options?: CallOptions): Promise<void>
}

/**
 * Rows in the order of their ids, so that two writers never wait for each other. A device that is being deleted right now is left
 * out rather than waited for, and one that is written cannot be deleted before: no row is left behind.
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

export class PostgresLastSeenStore implements LastSeenStore {
  readonly #database: PostgresDatabase

  constructor(database: PostgresDatabase) {
    this.#database = database
  }

  async record(seen: ReadonlyMap<string, Instant>, options?: CallOptions): Promise<void> {
    const instants = [...seen.values()].map((instant) => toRfc3339(instant))
    await this.#database.query(RECORD, [[...seen.keys()], instants], options)
  }
}
