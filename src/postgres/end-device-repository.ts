import type { EndDevice } from '../domain/entities.ts'
import { toRfc3339, type Instant } from '../domain/instant.ts'
import type { CallOptions, EndDeviceRepository, Page, PageRequest } from '../domain/ports.ts'
import type { PostgresDatabase, Statement } from './database.ts'
import { PostgresRepository } from './repository.ts'

export class PostgresEndDeviceRepository extends PostgresRepository<EndDevice> implements EndDeviceRepository {
  readonly #byExternalId: Statement

  constructor(database: PostgresDatabase) {
    super(database, {
      kind: 'End device',
      table: 'end_devices',
      id: 'deviceId',
      columns: {
        deviceId: 'device_id',
        organizationId: 'organization_id',
        name: 'name',
        payloadConversion: 'payload_conversion',
        externalId: 'external_id',
        profileId: 'profile_id',
        createdAt: 'created_at',
        updatedAt: 'updated_at',
        lastSeenAt: '(SELECT last_seen_at FROM end_device_last_seen WHERE end_device_id = device_id)',
      },
      changeable: ['name', 'payloadConversion', 'externalId', 'profileId'],
      emptyAsNull: ['profileId'],
      reference: { property: 'profileId', constraint: 'end_devices_profile_id_fkey', kind: 'Device profile' },
      unique: { property: 'externalId', index: 'end_devices_external_id', field: 'external_id' },
    })
    this.#byExternalId = {
      name: 'find_end_device',
      text: `${this.statements.select} WHERE organization_id = $1 AND external_id = $2 AND external_id <> ''`,
    }
  }

  async list(organizationId: string, page: PageRequest, options?: CallOptions): Promise<Page<EndDevice>> {
    return await this.page(this.runner(options), [organizationId], page)
  }

  async findByExternalId(organizationId: string, externalId: string, options?: CallOptions): Promise<EndDevice | null> {
    return await this.first(this.#byExternalId, [organizationId, externalId], options)
  }
}

/**
 * Locks rows in the order of their ids, so concurrent writers cannot deadlock. A device that is being deleted is skipped;
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

/** Without an organization, of any. A device that is deleted has no such row. */
const LAST_SEEN_OF = `FROM end_device_last_seen WHERE end_device_id = $1 AND ($2::text IS NULL OR EXISTS
  (SELECT FROM end_devices WHERE device_id = end_device_id AND organization_id = $2))`
const HAS_LAST_SEEN: Statement = { name: 'has_last_seen', text: `SELECT 1 ${LAST_SEEN_OF}` }
const FORGET_LAST_SEEN: Statement = { name: 'forget_last_seen', text: `DELETE ${LAST_SEEN_OF}` }

const ACTIVE_ORGANIZATIONS: Statement = {
  name: 'active_organizations',
  text: `SELECT DISTINCT organization_id FROM end_device_last_seen JOIN end_devices ON device_id = end_device_id
    WHERE last_seen_at > now() - $1 * interval '1 millisecond' LIMIT 2`,
}

export class PostgresLastSeenStore {
  readonly #database: PostgresDatabase

  constructor(database: PostgresDatabase) {
    this.#database = database
  }

  /**
   * Stores the later of the stored and the given time, at most the current time of the database. Skips devices that do not
   * exist. Rejects as repositories do.
   */
  async record(seen: ReadonlyMap<string, Instant>, options?: CallOptions): Promise<void> {
    const instants = [...seen.values()].map((instant) => toRfc3339(instant))
    await this.#database.query(RECORD, [[...seen.keys()], instants], options)
  }

  /** Returns whether a device has a stored time; with an organization, only if it belongs to it. */
  async has(deviceId: string, organizationId?: string): Promise<boolean> {
    return (await this.#database.query(HAS_LAST_SEEN, [deviceId, organizationId ?? null])).length > 0
  }

  /** Deletes the time of a device; with an organization, only if the device belongs to it. */
  async forget(deviceId: string, organizationId?: string): Promise<void> {
    await this.#database.query(FORGET_LAST_SEEN, [deviceId, organizationId ?? null])
  }

  /** Returns whether devices of more than one organization were seen in the last `ms`. Rejects as repositories do. */
  async hasSeveralOrganizations(ms: number, options?: CallOptions): Promise<boolean> {
    const rows = await this.#database.query(ACTIVE_ORGANIZATIONS, [ms], options)
    return rows.length > 1
  }
}

export type LastSeenStore = Pick<PostgresLastSeenStore, 'record' | 'hasSeveralOrganizations'>
