import type { Client } from 'pg'
import { ReplicationError } from '../../domain/errors.ts'
import type { PostgresServer } from '../database.ts'
import { attempt, replicationErrorFrom } from '../errors.ts'
import { openClient } from './replication-connection.ts'
import { SlotStateStore } from './slot-state.ts'
import { checkOwner, readSlot, type SlotState } from './slot.ts'
import { newSnapshotId, tryLockSnapshot } from './snapshot.ts'

/** Reads the slot and a snapshot that is due or incomplete; null if the slot does not exist. Throws a ReplicationError. */
export async function readSlotStatus(server: PostgresServer, slot: string) {
  return await withDatabase(server, async (database) => {
    const state = await readSlot(database, slot)
    if (state === null) return null
    const { snapshot } = await new SlotStateStore(database, slot).read()
    return { ...state, snapshot }
  })
}

/** The effect on the slot: `kept` at its position, so that no change is missed; `dropped`, because it was lost. */
export type Resnapshot = 'kept' | 'dropped' | 'absent'

/**
 * Makes a snapshot due: the next capture first passes every existing row, and creates the slot again if it was lost. Throws a
 * ReplicationError; while an instance uses the slot, `slot_in_use` without any change.
 */
export async function requestSnapshot(server: PostgresServer, slot: string): Promise<Resnapshot> {
  return await withDatabase(server, async (database) => {
    const state = await readUnusedSlot(database, server, slot)
    if (!(await tryLockSnapshot(database, slot))) throw slotInUse(slot)
    const store = new SlotStateStore(database, slot)
    await store.requestSnapshot(newSnapshotId())
    if (state !== null && !state.invalidated) return 'kept'
    if (state !== null) await dropSlot(database, slot)
    await store.markLost()
    return state === null ? 'absent' : 'dropped'
  })
}

/**
 * Drops the slot and its state: the next capture creates a new slot and starts there, so the changes in the old slot are skipped.
 * Returns whether the slot existed. Throws a ReplicationError; while an instance streams, `slot_in_use` without any change.
 */
export async function forgetSlot(server: PostgresServer, slot: string): Promise<boolean> {
  return await withDatabase(server, async (database) => {
    const state = await readUnusedSlot(database, server, slot)
    if (state !== null) await dropSlot(database, slot)
    await new SlotStateStore(database, slot).forget()
    return state !== null
  })
}

/** Reads a slot; null if it does not exist. Throws a ReplicationError `slot_foreign` or `slot_in_use` if it is used. */
async function readUnusedSlot(database: Client, server: PostgresServer, slot: string): Promise<SlotState | null> {
  const state = await readSlot(database, slot)
  if (state !== null) checkOwner(state, { slot, database: server.database })
  if (state?.active === true) throw slotInUse(slot)
  return state
}

function slotInUse(slot: string): ReplicationError {
  const message = `an instance of ponix-cdc uses the replication slot ${slot}; stop every instance and try again`
  return new ReplicationError('slot_in_use', message)
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
