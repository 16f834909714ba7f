import type { Client } from 'pg'
import { ReplicationError } from '../../domain/errors.ts'
import type { PostgresServer } from '../database.ts'
import { attempt, replicationErrorFrom } from '../errors.ts'
import { openClient } from './replication-connection.ts'
import { SlotStateStore, type StoredSlotState } from './slot-state.ts'
import { checkOwner, readSlot, type SlotState } from './slot.ts'
import { newSnapshotId } from './snapshot.ts'

export interface SlotStatus extends StoredSlotState {
  /** null if the slot does not exist; then it is lost if it was created. */
  readonly slot: SlotState | null
}

/** Throws a ReplicationError. */
export async function readSlotStatus(server: PostgresServer, slot: string): Promise<SlotStatus> {
  return await withDatabase(server, async (database) => ({
    slot: await readSlot(database, slot),
    ...(await new SlotStateStore(database, slot).read()),
  }))
}

/** The effect on the slot: `kept` at its position, so that no change is missed; `dropped`, because it was lost. */
export type Resnapshot = 'kept' | 'dropped' | 'absent'

/**
 * Makes a snapshot due: the running capture, or the next one, first passes every existing row, and creates the slot again if it was
 * lost. Throws a ReplicationError.
 */
export async function requestSnapshot(server: PostgresServer, slot: string): Promise<Resnapshot> {
  return await withDatabase(server, async (database) => {
    const state = await readOwnSlot(database, server, slot)
    const isLost = state === null || state.invalidated
    await new SlotStateStore(database, slot).requestSnapshot(newSnapshotId(), isLost)
    if (!isLost) return 'kept'
    if (state !== null) await dropSlot(database, slot)
    return state === null ? 'absent' : 'dropped'
  })
}

/**
 * Drops the slot and its state: the next capture creates a new slot and starts there, so the changes in the old slot are skipped.
 * Returns whether the slot existed. Throws a ReplicationError; while an instance streams, `slot_in_use` without any change.
 */
export async function forgetSlot(server: PostgresServer, slot: string): Promise<boolean> {
  return await withDatabase(server, async (database) => {
    const state = await readOwnSlot(database, server, slot)
    if (state?.active === true) {
      const message = `an instance of ponix-cdc uses the replication slot ${slot}; stop every instance and try again`
      throw new ReplicationError('slot_in_use', message)
    }
    if (state !== null) await dropSlot(database, slot)
    await new SlotStateStore(database, slot).forget()
    return state !== null
  })
}

/** Reads a slot; null if it does not exist. Throws a ReplicationError `slot_foreign` if it has another use. */
async function readOwnSlot(database: Client, server: PostgresServer, slot: string): Promise<SlotState | null> {
  const state = await readSlot(database, slot)
  if (state !== null) checkOwner(state, { slot, database: server.database })
  return state
}

async function dropSlot(database: Client, slot: string): Promise<void> {
  await attempt(`drop the replication slot ${slot}`, () =>
    database.query('SELECT pg_drop_replication_slot($1)', [slot]),
  )
}

async function withDatabase<T>(server: PostgresServer, work: (database: Client) => Promise<T>): Promise<T> {
  const client = await openClient(server, {})
  try {
    return await work(client)
  } catch (error) {
    throw replicationErrorFrom(error, 'administer the replication slot')
  } finally {
    await client.end()
  }
}
