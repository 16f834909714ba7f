import type { EndDevice } from '../domain/entities.ts'
import type { Instant } from '../domain/instant.ts'
import type {
  CallOptions,
  EndDeviceChange,
  EndDeviceRepository,
  NewEndDevice,
  Page,
  PageRequest,
} from '../domain/ports.ts'
import type { PostgresDatabase, Statement } from './database.ts'
import { KeysetList } from './keyset-list.ts'
import { createOwned, LIVE_OWNER, NEXT_UPDATED_AT } from './ownership.ts'

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
