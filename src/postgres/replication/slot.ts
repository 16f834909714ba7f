import { escapeIdentifier, escapeLiteral } from 'pg'
import { z } from 'zod'
import { ReplicationError } from '../../domain/errors.ts'
import type { CallOptions } from '../../domain/ports.ts'
import type { PostgresDatabase, Statement } from '../database.ts'
import { attempt, sqlState } from '../errors.ts'
import { parseLsn, type Lsn } from './change.ts'
import type { Queryable } from './publication.ts'
import type { ReplicationConnection, SlotStart } from './replication-connection.ts'

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

/** A slot and the publication whose comment remembers it. */
export interface SlotName {
  readonly slot: string
  readonly publication: string
}

const snapshotProgress = z.object({
  /** Names the snapshot in the ids of its messages. */
  id: z.string(),
  /** Tables that are stored completely, as `public.gateways`. */
  done: z.array(z.string()).readonly(),
  /** The table that is stored in part, and the key of the last row of it. */
  partly: z.object({ table: z.string(), after: z.string() }).nullable(),
})

/** How far a snapshot has come: everything named here is stored. */
export type SnapshotProgress = Readonly<z.infer<typeof snapshotProgress>>

/**
 * What the publication's comment remembers of a slot. It is changed with the database and restored with it, and needs no
 * table. `known`: the slot was there once. `snapshot`: one is due, or was begun and is not complete.
 */
export interface SlotMemory {
  readonly known: boolean
  readonly snapshot: SnapshotProgress | null
}

/** Throws a ReplicationError. */
export async function readSlotMemory(database: Queryable, name: SlotName): Promise<SlotMemory> {
  const comment = await readComment(database, name)
  const [, written] = snapshotPattern(name).exec(comment) ?? []
  return { known: comment.includes(slotMark(name)), snapshot: written === undefined ? null : decode(name, written) }
}

/** From now on the slot's absence is a loss. */
async function rememberSlot(database: Queryable, name: SlotName): Promise<void> {
  await editComment(database, name, (comment) => `${comment.replaceAll(slotMark(name), '')} ${slotMark(name)}`)
}

/** The slot may be made anew. */
export async function forgetSlot(database: Queryable, name: SlotName): Promise<void> {
  await editComment(database, name, (comment) => comment.replaceAll(slotMark(name), ''))
}

/** Null when no snapshot is due any more. */
export async function rememberSnapshot(
  database: Queryable,
  name: SlotName,
  progress: SnapshotProgress | null,
): Promise<void> {
  const mark = progress === null ? '' : `[snapshot ${name.slot} ${encode(progress)}]`
  await editComment(database, name, (comment) => `${comment.replace(snapshotPattern(name), '')} ${mark}`)
}

function slotMark({ slot }: SlotName): string {
  return `[slot ${slot}]`
}

/** The names of slots are lower-case letters, digits and _. */
function snapshotPattern({ slot }: SlotName): RegExp {
  return new RegExp(`\\[snapshot ${slot} ([A-Za-z0-9_-]*)\\]`)
}

function encode(progress: SnapshotProgress): string {
  return Buffer.from(JSON.stringify(progress)).toString('base64url')
}

function decode({ slot, publication }: SlotName, written: string): SnapshotProgress {
  try {
    return snapshotProgress.parse(JSON.parse(Buffer.from(written, 'base64url').toString()))
  } catch (cause) {
    const remedy = 'ponix-cdc resnapshot begins a new one'
    const what = `what the comment of the publication ${publication} says of the snapshot for ${slot} cannot be read`
    throw new ReplicationError('publication', `${what}; ${remedy}`, { cause })
  }
}

async function editComment(database: Queryable, name: SlotName, edit: (comment: string) => string): Promise<void> {
  const comment = edit(await readComment(database, name))
    .replaceAll(/\s+/g, ' ')
    .trim()
  const text = `COMMENT ON PUBLICATION ${escapeIdentifier(name.publication)} IS ${escapeLiteral(comment)}`
  await attempt(`remember the slot; as the publication's owner run: ${text}`, () => database.query(text))
}

async function readComment(database: Queryable, { publication }: SlotName): Promise<string> {
  const { rows } = await attempt('read the publication', () =>
    database.query<{ comment: string | null }>(
      `SELECT obj_description(oid, 'pg_publication') AS comment FROM pg_publication WHERE pubname = $1`,
      [publication],
    ),
  )
  return rows[0]?.comment ?? ''
}

const STREAMS: Statement = {
  name: 'capture_streams',
  text: 'SELECT active FROM pg_replication_slots WHERE slot_name = $1 AND database = current_database()',
}

/** Whether somebody makes events of committed changes now. */
export interface CaptureActivity {
  /** Rejects when the store does not answer. */
  isActive(options?: CallOptions): Promise<boolean>
}

/** Change data capture as its replication slot shows it. */
export class PostgresCaptureActivity implements CaptureActivity {
  readonly #database: PostgresDatabase
  readonly #slot: string

  constructor(database: PostgresDatabase, slot: string) {
    this.#database = database
    this.#slot = slot
  }

  async isActive(options?: CallOptions): Promise<boolean> {
    const [slot] = await this.#database.query<{ active: boolean }>(STREAMS, [this.#slot], options)
    return slot?.active === true
  }
}
