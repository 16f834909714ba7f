import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { freePort, startPostgres } from '../../test/rig/servers.ts'
import { StartupError } from '../domain/errors.ts'
import { connectPostgres, PostgresDatabase, type PoolLimits } from './database.ts'
import { TestSchema, withClient } from '../../test/rig/adapters/test-schema.ts'

/** The time limit of a test, below the statement timeout of 10 seconds, after which the server cancels a statement anyway. */
const BEFORE_THE_SERVER = { timeout: 7_000 }

const SLEEP = { name: 'sleep', text: 'SELECT pg_sleep($1) AS slept' }
const ONE = { name: 'one', text: 'SELECT 1 AS one' }
const UNAVAILABLE = expect.objectContaining({ name: 'DomainError', code: 'unavailable' })

let schema: TestSchema

beforeAll(async () => {
  schema = await TestSchema.create(inject('postgres'))
})

afterAll(async () => schema[Symbol.asyncDispose]())

/** Returns a pool that is closed when the test ends. */
async function withPool(
  limits: Partial<PoolLimits>,
  use: (database: PostgresDatabase) => Promise<void>,
): Promise<void> {
  const database = await connectPostgres({ ...schema.options, limits })
  try {
    await use(database)
  } finally {
    await database.close()
  }
}

async function sleeping(): Promise<number> {
  return (await schema.running()).filter((query) => query.includes('pg_sleep')).length
}

test('A-4 aborting a call cancels its statement in the server, and the connection serves the next call', async () => {
  await withPool({ maxConnections: 1 }, async (database) => {
    const [before] = await database.query<{ pid: number }>({ name: 'pid', text: 'SELECT pg_backend_pid() AS pid' }, [])
    const caller = new AbortController()
    const call = database.query(SLEEP, [60], { signal: caller.signal })
    await expect.poll(() => sleeping()).toBe(1)
    caller.abort(new Error('deadline'))
    await expect(call).rejects.toThrow('deadline')
    expect(await sleeping()).toBe(0)
    const [after] = await database.query<{ pid: number }>({ name: 'pid', text: 'SELECT pg_backend_pid() AS pid' }, [])
    expect(after).toEqual(before)
  })
})

test('A-4 aborting a transaction cancels its statement and rolls it back', async () => {
  await withPool({ maxConnections: 1 }, async (database) => {
    const caller = new AbortController()
    const insert = { name: 'insert', text: "INSERT INTO organizations (id, name) VALUES ('rolled-back', 'x')" }
    const call = database.transaction(
      async (run) => {
        await run(insert, [])
        await run(SLEEP, [60])
      },
      { signal: caller.signal },
    )
    await expect.poll(() => sleeping()).toBe(1)
    caller.abort(new Error('gone'))
    await expect(call).rejects.toThrow('gone')
    await expect.poll(() => sleeping(), BEFORE_THE_SERVER).toBe(0)
    expect(await schema.sql("SELECT FROM organizations WHERE id = 'rolled-back'")).toEqual([])
  })
})

test('A-4 a cancellation never affects the next call on the connection', async () => {
  await withPool({ maxConnections: 1 }, async (database) => {
    for (let round = 0; round < 50; round += 1) {
      const caller = new AbortController()
      const cancelled = database.query(SLEEP, [0.002], { signal: caller.signal }).catch(() => [])
      setTimeout(() => caller.abort(), round % 5)
      const next = database.query(SLEEP, [0.005])
      await cancelled
      await expect(next).resolves.toHaveLength(1)
    }
  })
})

test('A-4 a call that is aborted while it waits for a connection leaves the queue', async () => {
  await withPool({ maxConnections: 1 }, async (database) => {
    const busy = new AbortController()
    const first = database.query(SLEEP, [60], { signal: busy.signal }).catch(() => 'ended')
    const caller = new AbortController()
    const second = database.query(ONE, [], { signal: caller.signal })
    caller.abort(new Error('gone'))
    await expect(second).rejects.toThrow('gone')
    busy.abort()
    expect(await first).toBe('ended')
    await expect(database.query(ONE, [])).resolves.toEqual([{ one: 1 }])
  })
})

test('A-10 a connection remains usable after a failed transaction', async () => {
  await withPool({ maxConnections: 1 }, async (database) => {
    const failing = database.transaction(async () => {
      throw new Error('not today')
    })
    await expect(failing).rejects.toThrow('not today')
    await expect(database.query(ONE, [])).resolves.toEqual([{ one: 1 }])
    expect(database.usage).toEqual({ total: 1, idle: 1, waiting: 0 })
  })
})

test('A-10 the server cancels a statement that exceeds the timeout, and its message is hidden from the caller', async () => {
  await withPool({ statementTimeoutMs: 50 }, async (database) => {
    await expect(database.query(SLEEP, [60])).rejects.toEqual(
      expect.objectContaining({ code: 'unavailable', message: 'The database took too long; try again' }),
    )
  })
})

test('A-10 the queue for connections is bounded', async () => {
  await withPool({ maxConnections: 1, maxWaiting: 2 }, async (database) => {
    const caller = new AbortController()
    const busy = database.query(SLEEP, [60], { signal: caller.signal }).catch(() => 'ended')
    await expect.poll(() => sleeping()).toBe(1)
    const waiting = [database.query(ONE, []), database.query(ONE, [])]
    await expect(database.query(ONE, [])).rejects.toEqual(UNAVAILABLE)
    caller.abort()
    await busy
    await expect(Promise.all(waiting)).resolves.toHaveLength(2)
  })
})

test('A-10 a statement is parsed once per connection', async () => {
  await withPool({ maxConnections: 1 }, async (database) => {
    await database.query(ONE, [])
    await database.query(ONE, [])
    const prepared = { name: 'prepared', text: "SELECT statement FROM pg_prepared_statements WHERE name = 'one'" }
    expect(await database.query(prepared, [])).toEqual([{ statement: ONE.text }])
  })
})

test('A-10 calls fail immediately with unavailable while PostgreSQL is down and recover automatically, logged once each', async () => {
  await using server = await startPostgres()
  const lines: string[] = []
  const logger = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line).msg) })
  await using database = new PostgresDatabase({ ...server, applicationName: 'x', startupTimeoutMs: 1, logger })
  const running = database.query(SLEEP, [60]).catch((error: unknown) => error)
  const asleep =
    "SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep($1)%' AND state = 'active' AND pid <> pg_backend_pid()"
  await expect.poll(() => withClient(server, async (client) => (await client.query(asleep)).rowCount)).toBe(1)
  await server.kill()
  expect(await running).toEqual(UNAVAILABLE)
  // If each call waited for a connection, this test would time out.
  for (let call = 0; call < 20; call += 1) await expect(database.query(ONE, [])).rejects.toEqual(UNAVAILABLE)
  await server.start()
  await expect.poll(() => database.query(ONE, []).catch(() => [])).toEqual([{ one: 1 }])
  expect(lines).toHaveLength(2)
  expect(lines[0]).toMatch(/^PostgreSQL is unavailable: /)
  expect(lines[1]).toBe('PostgreSQL is available again')
})

test('A-10 a server that accepts connections but never answers is reported as unavailable in bounded time', async () => {
  const sockets: Socket[] = []
  const port = await freePort()
  const silent = createServer((socket) => sockets.push(socket)).listen(port, '127.0.0.1')
  await once(silent, 'listening')
  await using database = new PostgresDatabase({ ...schema.options, port, limits: { acquireTimeoutMs: 100 } })
  await expect(database.query(ONE, [])).rejects.toEqual(UNAVAILABLE)
  for (const socket of sockets) socket.destroy()
  silent.close()
})

test('R-6 a server that does not answer in time is reported in one line without a password', async () => {
  const nowhere = connectPostgres({ ...schema.options, port: 1, password: 'hunter2', startupTimeoutMs: 150 })
  const error = await nowhere.catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(StartupError)
  expect(String(error)).toMatch(/PostgreSQL at 127\.0\.0\.1:1\/schema_\w+ did not answer for 0\.15 s: .*ECONNREFUSED/)
  expect(String(error)).not.toContain('hunter2')
})

test('R-6 a database without the tables is reported with the command that creates them', async () => {
  const { database } = inject('postgres')
  const error = await connectPostgres({ ...schema.options, database, startupTimeoutMs: 1000 }).catch(String)
  expect(error).toContain('the tables are missing: run ponix-migrate up')
})
