import type { DeviceActivity } from '../domain/device-activity.ts'
import type { EndDevice } from '../domain/entities.ts'
import { toRfc3339, type Instant } from '../domain/instant.ts'
import type { CallOptions, EndDeviceRepository, Page, PageRequest } from '../domain/ports.ts'
import type { PostgresDatabase, Statement } from './database.ts'
import { PostgresRepository } from './repository.ts'

/** No later payload than the one that failed was decoded. */
const IS_CURRENT = 'AND (last_seen_at IS NULL OR last_error_at >= last_seen_at)'

function activity(column: string, condition = ''): string {
  return `(SELECT ${column} FROM end_device_last_seen WHERE end_device_id = device_id ${condition})`
}

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
        lastSeenAt: activity('last_seen_at'),
        lastHeardAt: activity('last_heard_at'),
        lastError: activity('last_error', IS_CURRENT),
        lastErrorAt: activity('last_error_at', IS_CURRENT),
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
  name: 'record_device_activity',
  text: `INSERT INTO end_device_last_seen AS known (end_device_id, last_heard_at, last_seen_at, last_error_at, last_error)
    SELECT device.device_id, LEAST(new.heard_at, now()), ${limited('new.seen_at')}, ${limited('new.error_at')}, new.error
      FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::text[])
        AS new (id, heard_at, seen_at, error_at, error)
      JOIN end_devices device ON device.device_id = new.id
      ORDER BY device.device_id FOR KEY SHARE OF device SKIP LOCKED
    ON CONFLICT (end_device_id) DO UPDATE SET
      last_heard_at = ${latest('last_heard_at')},
      last_seen_at = ${latest('last_seen_at')},
      last_error_at = ${latest('last_error_at')},
      last_error = CASE WHEN ${isNewer('last_error_at')} THEN excluded.last_error ELSE known.last_error END
    WHERE ${['last_heard_at', 'last_seen_at', 'last_error_at'].map(isNewer).join(' OR ')}`,
}

/** GREATEST and LEAST ignore NULL, which is no time. */
function limited(time: string): string {
  return `CASE WHEN ${time} IS NOT NULL THEN LEAST(${time}, now()) END`
}

/** Corrects a stored time in the future. */
function latest(column: string): string {
  return `CASE WHEN ${isNewer(column)} THEN excluded.${column} ELSE known.${column} END`
}

function isNewer(column: string): string {
  const { old, time } = { old: `known.${column}`, time: `excluded.${column}` }
  return `(${time} IS NOT NULL AND (${old} IS NULL OR ${old} < ${time} OR ${old} > now()))`
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
   * Stores the later of the stored and the given times, at most the current time of the database. Skips devices that do not
   * exist. Rejects as repositories do.
   */
  async record(activities: ReadonlyMap<string, DeviceActivity>, options?: CallOptions): Promise<void> {
    const all = [...activities.values()]
    const times = (timeOf: (activity: DeviceActivity) => Instant | null | undefined): (string | null)[] =>
      all.map((each) => textOf(timeOf(each)))
    const columns = [times((each) => each.heardAt), times((each) => each.seenAt), times((each) => each.failure?.at)]
    const errors = all.map(({ failure }) => failure?.reason ?? null)
    await this.#database.query(RECORD, [[...activities.keys()], ...columns, errors], options)
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

function textOf(instant: Instant | null | undefined): string | null {
  return instant === null || instant === undefined ? null : toRfc3339(instant)
}

export type LastSeenStore = Pick<PostgresLastSeenStore, 'record' | 'hasSeveralOrganizations'>
