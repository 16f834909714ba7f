import { escapeIdentifier } from 'pg'
import { ReplicationError } from '../../domain/errors.ts'
import type { CallOptions } from '../../domain/ports.ts'
import type { PostgresDatabase } from '../database.ts'
import { attempt, sqlState } from '../errors.ts'
import { parseLsn, ZERO_LSN, type Lsn } from './change.ts'
import type { Queryable } from './publication.ts'
import type { ReplicationConnection, SlotStart } from './replication-connection.ts'
import type { SlotStateStore } from './slot-state.ts'

/** A replication slot as the server reports it. */
export interface SlotState {
  readonly plugin: string | null
  readonly database: string | null
  /** True while another session streams from the slot. */
  readonly active: boolean
  /** True if the server has removed WAL that the slot needed. */
  readonly invalidated: boolean
  readonly confirmed: Lsn
  /** WAL from the confirmed position to the end of the log; includes WAL of other tables. */
  readonly lagBytes: number
  /** WAL on disk that is retained for the slot. */
  readonly retainedBytes: number
  /** The time between writing the last confirmed WAL and its confirmation; null if idle or without lag. */
  readonly lagSeconds: number | null
  /** WAL sent and not confirmed; null while no instance streams. */
  readonly unconfirmedBytes: number | null
}

/** Reads the state of a slot; null if it does not exist. */
export async function readSlot(database: Queryable, slot: string): Promise<SlotState | null> {
  const { rows } = await attempt('read the replication slots', () =>
    database.query<Omit<SlotState, 'confirmed'> & { readonly confirmed: string | null }>(
      `SELECT s.plugin::text, s.database::text, s.active, (to_jsonb(s) ->> 'wal_status') IS NOT DISTINCT FROM 'lost' AS invalidated,
         confirmed_flush_lsn::text AS confirmed,
         coalesce(pg_current_wal_lsn() - confirmed_flush_lsn, 0)::float8 AS "lagBytes",
         coalesce(pg_current_wal_lsn() - restart_lsn, 0)::float8 AS "retainedBytes",
         extract(epoch FROM r.flush_lag)::float8 AS "lagSeconds", (r.sent_lsn - r.flush_lsn)::float8 AS "unconfirmedBytes"
       FROM pg_replication_slots s LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid WHERE s.slot_name = $1`,
      [slot],
    ),
  )
  const [row] = rows
  return row === undefined ? null : { ...row, confirmed: row.confirmed === null ? ZERO_LSN : parseLsn(row.confirmed) }
}

export interface ServerSettings {
  /** PostgreSQL's server_version_num: 150018 is 15.18. */
  readonly version: number
  /** The time without input after which the server ends a stream; 0 means never. */
  readonly walSenderTimeoutMs: number
}

/** Checks that server and role support logical replication. Throws a ReplicationError `wal_level` or `rights`. */
export async function checkServer(database: Queryable): Promise<ServerSettings> {
  const { rows } = await attempt('read the settings of PostgreSQL', () =>
    database.query<{ level: string; version: number; timeout: number; role: string; allowed: boolean }>(
      `SELECT current_setting('wal_level') AS level, current_setting('server_version_num')::int AS version,
         (SELECT setting::int FROM pg_settings WHERE name = 'wal_sender_timeout') AS timeout,
         rolname::text AS role, rolreplication OR rolsuper AS allowed FROM pg_roles WHERE rolname = current_user`,
    ),
  )
  const row = rows[0]
  if (row === undefined)
    throw new ReplicationError(
      'rights',
      'cannot read the role of this session from pg_roles; connect again with an existing role',
    )
  if (row.level !== 'logical') {
    const remedy = `run: ALTER SYSTEM SET wal_level = logical, and restart PostgreSQL`
    throw new ReplicationError('wal_level', `PostgreSQL's wal_level is ${row.level}, expected logical; ${remedy}`)
  }
  if (!row.allowed) {
    const remedy = `as a superuser run: ALTER ROLE ${escapeIdentifier(row.role)} REPLICATION`
    throw new ReplicationError('rights', `the role ${row.role} lacks the REPLICATION attribute; ${remedy}`)
  }
  return { version: row.version, walSenderTimeoutMs: row.timeout }
}

/** Returns whether the walsender with this process id exists. Throws a ReplicationError. */
export async function isWalSenderRunning(database: Queryable, pid: number): Promise<boolean> {
  const { rows } = await attempt('read the walsenders of PostgreSQL', () =>
    database.query('SELECT FROM pg_stat_replication WHERE pid = $1', [pid]),
  )
  return rows.length > 0
}

export interface SlotRequest {
  readonly slot: string
  readonly database: string
  /** PostgreSQL's server_version_num. */
  readonly version: number
  /** Whether to export a snapshot of the rows at the slot's start. */
  readonly exportSnapshot: boolean
}

/** The version since which standby servers keep slots too. */
const FAILOVER_SLOTS_SINCE = 170_000

/**
 * Ensures that the slot exists and belongs to this database. Creates a missing slot only if it never existed according to the
 * store. Returns its start if it was created, else null. Throws a ReplicationError: `slot_foreign`, `slot_lost`, `rights`.
 */
export async function ensureSlot(
  database: Queryable,
  connection: ReplicationConnection,
  store: SlotStateStore,
  request: SlotRequest,
): Promise<SlotStart | null> {
  const state = await readSlot(database, request.slot)
  const { created } = await store.read()
  if (state !== null) {
    checkOwner(state, request)
    if (state.invalidated) {
      throw slotLost(request.slot, 'was invalidated: PostgreSQL has removed WAL it needed (max_slot_wal_keep_size)')
    }
    if (!created) await store.markCreated()
    return null
  }
  if (created) throw slotLost(request.slot, 'is missing: it was dropped, or the database was restored without it')
  const start = await createSlot(connection, request)
  await store.markCreated()
  return start
}

/** Throws a ReplicationError `slot_foreign` if another plugin or database uses the slot. */
export function checkOwner(state: SlotState, { slot, database }: Pick<SlotRequest, 'slot' | 'database'>): void {
  if (state.plugin === 'pgoutput' && state.database === database) return
  const use =
    state.plugin === null ? 'physical replication' : `the plugin ${state.plugin} in database ${state.database}`
  const remedy = 'set PONIX_CDC_SLOT_NAME to an unused name'
  throw new ReplicationError('slot_foreign', `the replication slot ${slot} is used for ${use}; ${remedy}`)
}

function slotLost(slot: string, problem: string): ReplicationError {
  return new ReplicationError(
    'slot_lost',
    `the replication slot ${slot} ${problem}; run ponix-cdc resnapshot with the environment of this service to send every ` +
      'existing row, or ponix-cdc forget to continue without the changes since then',
  )
}

/** Creates the slot; returns null if another instance created it first. */
async function createSlot(connection: ReplicationConnection, request: SlotRequest): Promise<SlotStart | null> {
  const { slot, version, exportSnapshot } = request
  try {
    return await connection.createSlot(slot, { failover: version >= FAILOVER_SLOTS_SINCE, exportSnapshot })
  } catch (error) {
    const cause = error instanceof ReplicationError ? error.cause : error
    if (sqlState(cause) === '42710') return null
    throw error
  }
}

/** Detects whether an instance of change data capture streams, by its replication slot. */
export class PostgresCaptureActivity {
  readonly #database: PostgresDatabase
  readonly #slot: string

  constructor(database: PostgresDatabase, slot: string) {
    this.#database = database
    this.#slot = slot
  }

  /** Returns whether an instance streams. Rejects as repositories do. */
  async isActive(options?: CallOptions): Promise<boolean> {
    const text = 'SELECT active FROM pg_replication_slots WHERE slot_name = $1 AND database = current_database()'
    const statement = { name: 'capture_streams', text }
    const [slot] = await this.#database.query<{ active: boolean }>(statement, [this.#slot], options)
    return slot?.active === true
  }
}

export type CaptureActivity = Pick<PostgresCaptureActivity, 'isActive'>
