import type { Client } from 'pg'
import { ReplicationError } from '../../domain/errors.ts'
import type { PostgresServer } from '../database.ts'
import { replicationErrorFrom } from '../errors.ts'
import type { CapturedTable } from './change.ts'
import { ensurePublication } from './publication.ts'
import { openClient } from './replication-connection.ts'
import { checkOwner, readSlot, SlotStateStore, type SlotName } from './slot.ts'
import { newSnapshot, tryLockSnapshot } from './snapshot.ts'

/** Reads the slot and a snapshot that is due or incomplete; null if the slot does not exist. Throws a ReplicationError. */
export async function readSlotStatus(server: PostgresServer, name: SlotName) {
  return await withDatabase(server, async (database) => {
    const state = await readSlot(database, name.slot)
    if (state === null) return null
    const { snapshot } = await new SlotStateStore(database, name).read()
    return { ...state, snapshot }
  })
}

/** The effect on the slot: `kept` at its position, so that no change is missed; `dropped`, because it was lost. */
export type Resnapshot = 'kept' | 'dropped' | 'absent'

/**
 * Makes a snapshot due: the next capture first passes every existing row, and creates the slot again if it was lost. Throws a
 * ReplicationError; while an instance uses the slot, `slot_in_use` without any change.
 */
export async function requestSnapshot(
  server: PostgresServer,
  name: SlotName,
  tables: readonly CapturedTable[],
): Promise<Resnapshot> {
  return await withDatabase(server, async (database) => {
    const { slot, publication } = name
    const state = await readSlot(database, slot)
    if (state !== null) checkOwner(state, { slot, database: server.database })
    if (state?.active === true || !(await tryLockSnapshot(database, slot))) {
      const message = `an instance of ponix-cdc uses the replication slot ${slot}; stop every instance and try again`
      throw new ReplicationError('slot_in_use', message)
    }
    await ensurePublication(database, publication, tables)
    const store = new SlotStateStore(database, name)
    await store.saveSnapshot(newSnapshot())
    if (state !== null && !state.invalidated) return 'kept'
    if (state !== null) await database.query('SELECT pg_drop_replication_slot($1)', [slot])
    await store.markUnknown()
    return state === null ? 'absent' : 'dropped'
  })
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
