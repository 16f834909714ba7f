import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { startPostgres, type PostgresAddress, type ServerControl } from '../../../test/rig/servers.ts'
import {
  ScriptedSink,
  startCapture,
  TestDatabase,
  type RunningCapture,
} from '../../../test/rig/adapters/capture-rig.ts'

const WAIT = { timeout: 30_000, interval: 20 }

let server: PostgresAddress & ServerControl
let database: TestDatabase
let running: RunningCapture
const retry = { maxDelayMs: 1000, maxAttempts: 100 }

beforeAll(async () => {
  server = await startPostgres()
})
afterAll(() => server[Symbol.asyncDispose]())

beforeEach(async () => {
  database = await TestDatabase.create(server)
  await database.sql('CREATE TABLE items (id int PRIMARY KEY, name text); ALTER TABLE items REPLICA IDENTITY FULL')
})

afterEach(async () => {
  await running[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

async function start(sink: ScriptedSink): Promise<void> {
  running = startCapture(database, ['items'], sink, { retry })
  await vi.waitUntil(() => running.capture.state === 'streaming', WAIT)
}

describe('a server that stops', () => {
  test('C-10: capturing continues without loss after the server is killed and restarted', async () => {
    const sink = new ScriptedSink()
    await start(sink)
    sink.holds = ({ new: row }) => row?.get('id') === 2
    await database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await database.sql(`INSERT INTO items VALUES (2, 'b')`)
    await sink.until(2)
    await server.kill()
    await vi.waitUntil(() => running.capture.state === 'connecting', WAIT)
    sink.release()
    await server.start()
    await database.reconnect()
    await database.sql(`INSERT INTO items VALUES (3, 'c')`)
    await vi.waitUntil(() => sink.taken.some(({ new: row }) => row?.get('id') === 3), WAIT)
    const ids = new Set(sink.stored.map(({ new: row }) => row?.get('id')))
    expect([...ids]).toEqual([1, 2, 3])
    expect(running.capture.retries).toBeGreaterThan(0)
  })

  test('C-10: changes stored during the outage are not requested again', async () => {
    const sink = new ScriptedSink()
    await start(sink)
    sink.holds = () => true
    await database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await database.sql(`INSERT INTO items VALUES (2, 'b')`)
    await sink.until(2)
    await vi.waitUntil(() => running.capture.oldestCommitTime !== undefined, WAIT)
    const [first] = sink.taken
    await vi.waitFor(() => expect(sink.taken[1]?.transaction).not.toBe(first?.transaction))
    await server.kill()
    await vi.waitUntil(() => running.capture.inFlight === 2, WAIT)
    sink.release()
    await server.start()
    await database.reconnect()
    await database.sql(`INSERT INTO items VALUES (3, 'c')`)
    await vi.waitUntil(() => sink.taken.some(({ new: row }) => row?.get('id') === 3), WAIT)
    expect(sink.taken.map(({ new: row }) => row?.get('id')).filter((id) => id === 1)).toHaveLength(1)
  })

  test('C-10: a receiver that has stored everything does not delay a server shutdown', async () => {
    const sink = new ScriptedSink()
    await start(sink)
    await database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await sink.until(1)
    await server.stop()
    await server.start()
    await database.reconnect()
    await database.sql(`INSERT INTO items VALUES (2, 'b')`)
    await sink.until(2)
    expect(sink.taken.map(({ new: row }) => row?.get('id'))).toEqual([1, 2])
  })

  test('C-10: capturing continues when the server returns after more failures than it reports', async () => {
    const sink = new ScriptedSink()
    running = startCapture(database, ['items'], sink, { retry: { maxDelayMs: 40, maxAttempts: 3 } })
    await vi.waitUntil(() => running.capture.state === 'streaming', WAIT)
    await server.kill()
    await vi.waitUntil(() => running.capture.retries > 6, WAIT)
    expect((await running.failure()).message).toMatch(/^could not .*ECONNREFUSED/)
    await server.start()
    await database.reconnect()
    await database.sql(`INSERT INTO items VALUES (1, 'a')`)
    expect(await sink.until(1)).toHaveLength(1)
  })
})
