import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, afterEach, expect, test, vi } from 'vitest'
import { startPostgres, type PostgresAddress, type ServerControl } from '../../../test/rig/servers.ts'
import { ScriptedSink, startCapture, TestDatabase } from './replication-rig.ts'
import { readSlotStatus, requestSnapshot } from './slot-administration.ts'

const WAIT = { timeout: 30_000, interval: 20 }
const ITEMS = { schema: 'public', table: 'items', key: 'id', oldColumns: [] }

let server: PostgresAddress & ServerControl
let database: TestDatabase

beforeAll(async () => {
  server = await startPostgres()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

beforeEach(async () => {
  database = await TestDatabase.create(server)
  await database.sql('CREATE TABLE items (id int PRIMARY KEY); ALTER TABLE items REPLICA IDENTITY FULL')
})

afterEach(async () => {
  await database[Symbol.asyncDispose]()
})

/** What only the server's owner may do. */
async function asOwner(...statements: readonly string[]): Promise<void> {
  const password = (await readFile(join(server.dataDir, 'superuser-password'), 'utf8')).trim()
  const { host, port } = server
  const owner = new Client({ host, port, database: 'postgres', user: 'postgres', password })
  await owner.connect()
  for (const statement of statements) await owner.query(statement)
  await owner.end()
}

/** A capture that ran once; its slot is there. */
async function runOnce(): Promise<void> {
  await using capture = startCapture(database, [ITEMS], new ScriptedSink())
  await vi.waitUntil(() => capture.capture.state === 'streaming', WAIT)
}

test('C-10: a slot whose WAL was removed is said to be lost, and resnapshot makes it anew', async () => {
  await runOnce()
  await asOwner(`ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'`, 'SELECT pg_reload_conf()')
  for (let id = 0; id < 4; id += 1) {
    await database.sql(`INSERT INTO items VALUES (${id})`)
    await asOwner('SELECT pg_switch_wal()')
  }
  await asOwner('CHECKPOINT')
  const name = { slot: database.slot, publication: 'tested' }
  expect(await readSlotStatus(database.server, name)).toMatchObject({ invalidated: true, active: false })
  const refused = startCapture(database, [ITEMS], new ScriptedSink())
  await expect(refused.finished).rejects.toMatchObject({
    code: 'slot_lost',
    message: expect.stringMatching(/was invalidated: .* The way back is ponix-cdc resnapshot/),
  })
  expect(refused.capture.retries).toBe(0)
  expect(await requestSnapshot(database.server, name, [ITEMS])).toBe('dropped')
  const sink = new ScriptedSink()
  await using again = startCapture(database, [ITEMS], sink)
  expect((await sink.until(4)).map(({ new: row }) => row?.get('id'))).toEqual([0, 1, 2, 3])
  await vi.waitUntil(() => again.capture.state === 'streaming', WAIT)
})

test('C-10: a role that may not replicate is told so in one line, and how to change it', async () => {
  await asOwner(`CREATE ROLE plain LOGIN PASSWORD 'plain'`)
  const refused = { ...database.server, username: 'plain', password: 'plain' }
  const { finished } = startCapture(database, [ITEMS], new ScriptedSink(), { server: refused })
  await expect(finished).rejects.toMatchObject({
    code: 'rights',
    message: 'the role plain may not replicate; as a superuser run: ALTER ROLE "plain" REPLICATION',
  })
})
