import { toRfc3339, type Instant } from '../domain/instant.ts'
import type { CallOptions } from '../domain/ports.ts'
import type { PostgresDatabase, Statement } from './database.ts'

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
