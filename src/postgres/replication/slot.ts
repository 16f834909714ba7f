import { escapeIdentifier, escapeLiteral } from 'pg'
import { ReplicationError } from '../../domain/errors.ts'
import { parseLsn, type Lsn } from './lsn.ts'
import type { Queryable } from './publication.ts'
import type { ReplicationConnection, SlotStart } from './replication-connection.ts'
import { attempt, sqlState } from './replication-error.ts'
import { readSlotMemory, rememberSlot, type SlotName } from './slot-memory.ts'

/** A replication slot as the server sees it. */
export interface SlotState {
  readonly plugin: string | null
  readonly database: string | null
  /** Another session streams from it now. */
  readonly active: boolean
  /** The server has removed WAL that the slot needed. */
  readonly invalidated: boolean
  readonly confirmed: Lsn | null
  /** From the confirmed position to the end of the log: what is still to be sent, and what other tables wrote. */
  readonly lagBytes: number
  /** WAL on disk that is kept for the slot. */
  readonly retainedBytes: number
}

interface SlotRow extends Record<string, unknown> {
  readonly plugin: string | null
  readonly database: string | null
  readonly active: boolean
  readonly wal_status: string | null
  readonly confirmed: string | null
  readonly lag: string | null
  readonly retained: string | null
}

/** Null when there is no such slot. */
export async function readSlot(database: Queryable, slot: string): Promise<SlotState | null> {
  const { rows } = await attempt('read the replication slots', () =>
    database.query<SlotRow>(
      `SELECT plugin::text, database::text, active, to_jsonb(s) ->> 'wal_status' AS wal_status,
         confirmed_flush_lsn::text AS confirmed,
         (pg_current_wal_lsn() - confirmed_flush_lsn)::text AS lag, (pg_current_wal_lsn() - restart_lsn)::text AS retained
       FROM pg_replication_slots s WHERE slot_name = $1`,
      [slot],
    ),
  )
  const row = rows[0]
  if (row === undefined) return null
  return {
    plugin: row.plugin,
    database: row.database,
    active: row.active,
    invalidated: row.wal_status === 'lost',
    confirmed: row.confirmed === null ? null : parseLsn(row.confirmed),
    lagBytes: Number(row.lag ?? 0),
    retainedBytes: Number(row.retained ?? 0),
  }
}

export interface ServerSettings {
  /** PostgreSQL's server_version_num: 150018 is 15.18. */
  readonly version: number
  /** The server ends a stream whose reader has said nothing for so long; 0: never. */
  readonly walSenderTimeoutMs: number
}

/** Throws a ReplicationError `wal_level` or `rights` when this server or this role cannot do logical replication. */
export async function checkServer(database: Queryable): Promise<ServerSettings> {
  const { rows } = await attempt('read the settings of PostgreSQL', () =>
    database.query<{ level: string; version: number; timeout: number; role: string; allowed: boolean }>(
      `SELECT current_setting('wal_level') AS level, current_setting('server_version_num')::int AS version,
         (SELECT setting::int FROM pg_settings WHERE name = 'wal_sender_timeout') AS timeout,
         rolname::text AS role, rolreplication OR rolsuper AS allowed FROM pg_roles WHERE rolname = current_user`,
    ),
  )
  const row = rows[0]
  if (row === undefined) throw new ReplicationError('rights', 'the role of this session is not in pg_roles')
  if (row.level !== 'logical') {
    const remedy = `run: ALTER SYSTEM SET wal_level = logical, and restart PostgreSQL`
    throw new ReplicationError('wal_level', `PostgreSQL's wal_level is ${row.level}, it must be logical; ${remedy}`)
  }
  if (!row.allowed) {
    const remedy = `as a superuser run: ALTER ROLE ${escapeIdentifier(row.role)} REPLICATION`
    throw new ReplicationError('rights', `the role ${row.role} may not replicate; ${remedy}`)
  }
  return { version: row.version, walSenderTimeoutMs: row.timeout }
}

export interface SlotRequest extends SlotName {
  readonly database: string
  /** PostgreSQL's server_version_num. */
  readonly version: number
  /** Whether the rows as they are where the slot starts can be read afterwards. */
  readonly exportSnapshot: boolean
}

/** PostgreSQL 17 keeps slots on its standby servers too. */
const FAILOVER_SLOTS_SINCE = 170_000

/**
 * Sees to it that the slot is there and ours. A missing one is created only if it never was there: the publication's comment
 * remembers it. Throws a ReplicationError: `slot_foreign`, `slot_lost`, `rights`. Returns where it starts if it was
 * created, else null.
 */
export async function ensureSlot(
  database: Queryable,
  connection: ReplicationConnection,
  request: SlotRequest,
): Promise<SlotStart | null> {
  const { slot } = request
  const state = await readSlot(database, slot)
  const { known } = await readSlotMemory(database, request)
  if (state !== null) {
    checkSlot(state, request)
    if (!known) await rememberSlot(database, request)
    return null
  }
  if (known) throw slotLost(request, `is gone: it was dropped, or the database was restored without it`, '')
  const created = await createUnlessThere(connection, request)
  await rememberSlot(database, request)
  return created
}

/** Throws a ReplicationError `slot_foreign` or `slot_lost`. */
function checkSlot(state: SlotState, request: SlotRequest): void {
  checkOwner(state, request)
  if (!state.invalidated) return
  const drop = `SELECT pg_drop_replication_slot(${escapeLiteral(request.slot)}); `
  throw slotLost(request, 'was invalidated: PostgreSQL has removed WAL it needed (max_slot_wal_keep_size)', drop)
}

/** Throws a ReplicationError `slot_foreign` when the slot serves something else. */
export function checkOwner(state: SlotState, { slot, database }: Pick<SlotRequest, 'slot' | 'database'>): void {
  if (state.plugin !== 'pgoutput' || state.database !== database) {
    const use =
      state.plugin === null ? 'physical replication' : `the plugin ${state.plugin} in database ${state.database}`
    throw new ReplicationError(
      'slot_foreign',
      `the replication slot ${slot} is used for ${use}; set PONIX_CDC_SLOT_NAME to a name of its own`,
    )
  }
}

function slotLost({ slot, publication }: SlotRequest, what: string, remedy: string): ReplicationError {
  const forget = `COMMENT ON PUBLICATION ${escapeIdentifier(publication)} IS NULL`
  return new ReplicationError(
    'slot_lost',
    `the replication slot ${slot} ${what}. Changes since then will not become events. The way back is ponix-cdc resnapshot: ` +
      `it sends every present row and goes on from there. To go on from now without that, run: ${remedy}${forget}`,
  )
}

/** Null when another instance was quicker. */
async function createUnlessThere(connection: ReplicationConnection, request: SlotRequest): Promise<SlotStart | null> {
  const { slot, version, exportSnapshot } = request
  try {
    return await connection.createSlot(slot, { failover: version >= FAILOVER_SLOTS_SINCE, exportSnapshot })
  } catch (error) {
    const cause = error instanceof ReplicationError ? error.cause : error
    if (sqlState(cause) === '42710') return null
    throw error
  }
}
