import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, afterEach, expect, test, vi } from 'vitest'
import { startPostgres, type PostgresAddress, type ServerControl } from '../../../test/rig/servers.ts'
import { ScriptedSink, startCapture, TestDatabase } from '../../../test/rig/adapters/capture-rig.ts'
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

/** Runs statements as superuser. Returns the rows of the last one. */
async function asSuperuser(...statements: readonly string[]): Promise<readonly Record<string, unknown>[]> {
  const password = (await readFile(join(server.dataDir, 'superuser-password'), 'utf8')).trim()
  const { host, port } = server
  const owner = new Client({ host, port, database: 'postgres', user: 'postgres', password })
  await owner.connect()
  let rows: readonly Record<string, unknown>[] = []
  for (const statement of statements) ({ rows } = await owner.query(statement))
  await owner.end()
  return rows
}

/** Runs a capture once, which creates its slot. */
async function runOnce(): Promise<void> {
  await using capture = startCapture(database, [ITEMS], new ScriptedSink())
  await vi.waitUntil(() => capture.capture.state === 'streaming', WAIT)
}

test('C-10: a slot whose WAL was removed is reported as lost, and capturing continues after ponix-cdc resnapshot', async () => {
  await runOnce()
  await asSuperuser(`ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'`, 'SELECT pg_reload_conf()')
  for (let id = 0; id < 4; id += 1) {
    await database.sql(`INSERT INTO items VALUES (${id})`)
    await asSuperuser('SELECT pg_switch_wal()')
  }
  await asSuperuser('CHECKPOINT')
  expect(await readSlotStatus(database.server, database.slot)).toMatchObject({
    slot: { invalidated: true, active: false },
  })
  const sink = new ScriptedSink()
  await using waiting = startCapture(database, [ITEMS], sink)
  expect(await waiting.failure()).toMatchObject({
    code: 'slot_lost',
    message: expect.stringMatching(/was invalidated: .*; run ponix-cdc resnapshot/),
  })
  expect(await requestSnapshot(database.server, database.slot)).toBe('dropped')
  expect((await sink.until(4)).map(({ new: row }) => row?.get('id'))).toEqual([0, 1, 2, 3])
  await vi.waitUntil(() => waiting.capture.state === 'streaming', WAIT)
})

test('C-10: a role without REPLICATION is reported in one line with the remedy', async () => {
  await asSuperuser(`CREATE ROLE plain LOGIN PASSWORD 'plain'`)
  const refused = { ...database.server, username: 'plain', password: 'plain' }
  await using running = startCapture(database, [ITEMS], new ScriptedSink(), { server: refused })
  expect(await running.failure()).toMatchObject({
    code: 'rights',
    message: 'the role plain lacks the REPLICATION attribute; as a superuser run: ALTER ROLE "plain" REPLICATION',
  })
})

test('C-9: status updates prevent a timeout of the server while the stream is paused', async () => {
  await database.sql(`ALTER DATABASE ${database.server.database} SET wal_sender_timeout = '1500ms'`)
  const sink = new ScriptedSink()
  const limits = { items: 1, bytes: 1000 }
  await using running = startCapture(database, ['items'], sink, { limits, confirm: { changes: 1, ms: 3_600_000 } })
  await vi.waitUntil(() => running.capture.state === 'streaming', WAIT)
  sink.holds = () => true
  await database.sql('INSERT INTO items SELECT n FROM generate_series(1, 50000) n')
  await sink.until(1)
  const stream = `SELECT pid, reply_time > backend_start + interval '6 s' AS heard FROM pg_stat_replication`
  const [first] = await asSuperuser(stream)
  await vi.waitUntil(async () => (await asSuperuser(stream))[0]?.['heard'] === true, WAIT)
  expect(await asSuperuser(stream)).toEqual([{ pid: first?.['pid'], heard: true }])
  expect(running.capture.retries).toBe(0)
  sink.release()
  await sink.until(50_000)
})

/** Runs the stopped server with another setting on its command line. */
async function startWith(setting: string): Promise<AsyncDisposable> {
  const data = join(server.dataDir, 'data')
  const { uid, gid } = await stat(data)
  const line = await readFile(join(data, 'postmaster.opts'), 'utf8')
  const [program = '', ...quoted] = line.trim().split(' ')
  const args = quoted.map((arg) => arg.replaceAll('"', ''))
  const child = spawn(program, [...args, '-c', setting], { uid, gid, cwd: data, stdio: ['ignore', 'ignore', 'pipe'] })
  for await (const line of createInterface({ input: child.stderr })) {
    if (line.includes('ready to accept connections')) break
  }
  return {
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit')
      child.kill('SIGINT')
      await exited
    },
  }
}

test('C-10: wal_level=replica is reported immediately in one line with the remedy', async () => {
  await server.stop()
  try {
    await using _replica = await startWith('wal_level=replica')
    await using running = startCapture(database, [ITEMS], new ScriptedSink())
    expect(await running.failure()).toMatchObject({
      code: 'wal_level',
      message: `PostgreSQL's wal_level is replica, expected logical; run: ALTER SYSTEM SET wal_level = logical, and restart PostgreSQL`,
    })
  } finally {
    await server.start()
    await database.reconnect()
  }
})
