import { escapeIdentifier, escapeLiteral } from 'pg'
import { parseLsn, type Lsn } from './lsn.ts'
import type { Queryable } from './publication.ts'
import type { ReplicationConnection } from './replication-connection.ts'
import { ReplicationError, replicationErrorFrom, sqlState } from './replication-error.ts'

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

export interface SlotRequest {
  readonly slot: string
  readonly publication: string
  readonly database: string
  /** PostgreSQL's server_version_num. */
  readonly version: number
}

/** PostgreSQL 17 keeps slots on its standby servers too. */
const FAILOVER_SLOTS_SINCE = 170_000

/**
 * Sees to it that the slot is there and ours. A missing one is created only if it never was there: the publication's comment
 * remembers it. Throws a ReplicationError: `slot_foreign`, `slot_lost`, `rights`. Returns whether it was created.
 */
export async function ensureSlot(
  database: Queryable,
  connection: ReplicationConnection,
  request: SlotRequest,
): Promise<boolean> {
  const { slot } = request
  const state = await readSlot(database, slot)
  const remembered = await readMark(database, request)
  if (state !== null) {
    checkSlot(state, request)
    if (!remembered) await writeMark(database, request)
    return false
  }
  if (remembered) {
    throw slotLost(request, `is gone: it was dropped, or the database was restored without it`, '')
  }
  const failover = request.version >= FAILOVER_SLOTS_SINCE
  const created = await createUnlessThere(connection, slot, failover)
  await writeMark(database, request)
  return created
}

function checkSlot(state: SlotState, request: SlotRequest): void {
  const { slot, database } = request
  if (state.plugin !== 'pgoutput' || state.database !== database) {
    const use =
      state.plugin === null ? 'physical replication' : `the plugin ${state.plugin} in database ${state.database}`
    throw new ReplicationError(
      'slot_foreign',
      `the replication slot ${slot} is used for ${use}; set PONIX_CDC_SLOT_NAME to a name of its own`,
    )
  }
  if (state.invalidated) {
    const drop = `SELECT pg_drop_replication_slot(${escapeLiteral(slot)}); `
    throw slotLost(request, 'was invalidated: PostgreSQL has removed WAL it needed (max_slot_wal_keep_size)', drop)
  }
}

function slotLost({ slot, publication }: SlotRequest, what: string, remedy: string): ReplicationError {
  const forget = `COMMENT ON PUBLICATION ${escapeIdentifier(publication)} IS NULL`
  return new ReplicationError(
    'slot_lost',
    `the replication slot ${slot} ${what}. Changes since then will not become events. To accept that and go on from now, ` +
      `run: ${remedy}${forget}`,
  )
}

async function createUnlessThere(connection: ReplicationConnection, slot: string, failover: boolean): Promise<boolean> {
  try {
    await connection.createSlot(slot, { failover })
    return true
  } catch (error) {
    const cause = error instanceof ReplicationError ? error.cause : error
    if (sqlState(cause) === '42710') return false
    throw error
  }
}

/** In the publication's comment: it is changed with the database and restored with it, and needs no table. */
function markOf(slot: string): string {
  return `[slot ${slot}]`
}

async function readComment(database: Queryable, publication: string): Promise<string> {
  const { rows } = await attempt('read the publication', () =>
    database.query<{ comment: string | null }>(
      `SELECT obj_description(oid, 'pg_publication') AS comment FROM pg_publication WHERE pubname = $1`,
      [publication],
    ),
  )
  return rows[0]?.comment ?? ''
}

async function readMark(database: Queryable, { slot, publication }: SlotRequest): Promise<boolean> {
  return (await readComment(database, publication)).includes(markOf(slot))
}

async function writeMark(database: Queryable, { slot, publication }: SlotRequest): Promise<void> {
  const comment = `${await readComment(database, publication)} ${markOf(slot)}`.trim()
  const text = `COMMENT ON PUBLICATION ${escapeIdentifier(publication)} IS ${escapeLiteral(comment)}`
  await attempt(`remember the slot; as the publication's owner run: ${text}`, () => database.query(text))
}

async function attempt<T>(doing: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    throw replicationErrorFrom(error, doing)
  }
}
