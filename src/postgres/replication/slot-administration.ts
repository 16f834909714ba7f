import { Client } from 'pg'
import { ReplicationError } from '../../domain/errors.ts'
import { replicationErrorFrom } from '../errors.ts'
import { type CapturedTable, formatLsn } from './change.ts'
import { ensurePublication, type Queryable } from './publication.ts'
import type { PostgresServer } from './replication-connection.ts'
import {
  forgetSlot,
  readSlotMemory,
  rememberSnapshot,
  type SlotName,
  type SnapshotProgress,
  checkOwner,
  readSlot,
} from './slot.ts'
import { SnapshotReader, newSnapshot } from './snapshot.ts'

/** What PostgreSQL says of a slot. */
export interface SlotStatus {
  readonly active: boolean
  readonly invalidated: boolean
  /** As PostgreSQL writes it: `16/B374D848`. */
  readonly confirmed: string
  /** From the confirmed position to the end of the log. */
  readonly lagBytes: number
  /** How long ago PostgreSQL wrote what was confirmed last; null while nobody streams or nothing is behind. */
  readonly lagSeconds: number | null
  /** Sent and not confirmed; null while nobody streams. */
  readonly unconfirmedBytes: number | null
  /** WAL on disk that is kept for the slot. */
  readonly retainedBytes: number
  /** A snapshot that is due or not complete. */
  readonly snapshot: SnapshotProgress | null
}

/** Null when there is no such slot. Throws a ReplicationError. */
export async function readSlotStatus(server: PostgresServer, name: SlotName): Promise<SlotStatus | null> {
  return await withDatabase(server, async (database) => {
    const state = await readSlot(database, name.slot)
    if (state === null) return null
    const { active, invalidated, confirmed, lagBytes, retainedBytes } = state
    const { snapshot } = await readSlotMemory(database, name)
    return {
      active,
      invalidated,
      confirmed: formatLsn(confirmed ?? 0n),
      lagBytes,
      retainedBytes,
      snapshot,
      ...(await readSender(database, name.slot)),
    }
  })
}

async function readSender(
  database: Queryable,
  slot: string,
): Promise<Pick<SlotStatus, 'lagSeconds' | 'unconfirmedBytes'>> {
  const { rows } = await database.query<{ seconds: number | null; bytes: string | null }>(
    `SELECT extract(epoch FROM r.flush_lag)::float8 AS seconds, (r.sent_lsn - r.flush_lsn)::text AS bytes
     FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid WHERE s.slot_name = $1`,
    [slot],
  )
  const { seconds = null, bytes = null } = rows[0] ?? {}
  return { lagSeconds: seconds, unconfirmedBytes: bytes === null ? null : Number(bytes) }
}

/** What was done to the slot: `kept` where it stands, so that nothing since then is missed; `dropped`, for it was lost. */
export type Resnapshot = 'kept' | 'dropped' | 'absent'

/**
 * Makes a snapshot due: whoever captures next hands over every present row first. A slot that was lost is made anew then. Throws
 * a ReplicationError, `slot_in_use` while an instance works with the slot; then nothing was changed.
 */
export async function requestSnapshot(
  server: PostgresServer,
  name: SlotName,
  tables: readonly CapturedTable[],
): Promise<Resnapshot> {
  const lock = await SnapshotReader.open(server)
  try {
    return await withDatabase(server, async (database) => {
      const state = await readSlot(database, name.slot)
      if (state !== null) checkOwner(state, { slot: name.slot, database: server.database })
      if (state?.active === true || !(await lock.tryLock(name.slot))) throw inUse(name)
      await ensurePublication(database, name.publication, tables)
      await rememberSnapshot(database, name, newSnapshot())
      if (state !== null && !state.invalidated) return 'kept'
      if (state !== null) await database.query('SELECT pg_drop_replication_slot($1)', [name.slot])
      await forgetSlot(database, name)
      return state === null ? 'absent' : 'dropped'
    })
  } finally {
    await lock.close()
  }
}

function inUse({ slot }: SlotName): ReplicationError {
  const what = `an instance of ponix-cdc works with the replication slot ${slot}; stop every instance and try again`
  return new ReplicationError('slot_in_use', what)
}

async function withDatabase<T>(server: PostgresServer, work: (database: Client) => Promise<T>): Promise<T> {
  const { host, port, database, username, password } = server
  const client = new Client({ host, port, database, user: username, password, connectionTimeoutMillis: 10_000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    return await work(client)
  } catch (error) {
    throw replicationErrorFrom(error, `ask PostgreSQL at ${host}:${port}/${database}`)
  } finally {
    await client.end()
  }
}
