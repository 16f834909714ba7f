import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { DomainError } from '../domain/errors.ts'
import { ALL, DEVICE, WHOLE } from '../../test/rig/telemetry-queries.ts'
import { createTestDatabase, type TestDatabase } from './clickhouse-rig.ts'
import { openClickHouse } from './connection.ts'
import { createEnvelopeReader } from './envelope-reader.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase(inject('clickhouse'))
  await database.migrate()
  await database.clickhouse.client.command({
    query: `INSERT INTO processed_envelope_rows (organization_id, end_device_id, occurred_at, data, identity)
      SELECT 'org', 'device', toDateTime64('2026-01-01 00:00:00', 6, 'UTC') + number, '{"n": 1.5}', toString(number)
      FROM numbers(1000000)`,
  })
})
afterAll(() => database[Symbol.asyncDispose]())

describe('the end of a query', () => {
  const MARK = 'FROM processed_envelope_rows'
  const running = (): Promise<unknown[]> =>
    database.rows(`SELECT query FROM system.processes WHERE query LIKE '%${MARK}%' AND query NOT LIKE '%processes%'`)

  test('A-4 an abort ends it in ClickHouse too, and the reader with the reason', async () => {
    const controller = new AbortController()
    const reader = createEnvelopeReader(database.clickhouse)
    const stream = reader.read(ALL, { ...WHOLE, timeoutMs: null }, { signal: controller.signal })
    const batches = stream[Symbol.asyncIterator]()
    await batches.next()
    expect(await running()).toHaveLength(1)
    controller.abort(new Error('gone'))
    const rest = async (): Promise<void> => {
      while ((await batches.next()).done !== true);
    }
    await expect(rest()).rejects.toThrow('gone')
    await expect.poll(running).toEqual([])
  })

  test('whoever stops reading ends it', async () => {
    for await (const batch of createEnvelopeReader(database.clickhouse).read(DEVICE, WHOLE)) {
      expect(batch.length).toBeGreaterThan(0)
      expect(await running()).toHaveLength(1)
      break
    }
    await expect.poll(running).toEqual([])
  })

  test('an abort before it began asks nothing', async () => {
    const reader = createEnvelopeReader(openClickHouse({ ...database.options, url: 'http://127.0.0.1:1' }))
    const aborted = AbortSignal.abort(new Error('gone'))
    const stream = reader.read(ALL, WHOLE, { signal: aborted })
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toThrow('gone')
  })

  test('one that takes too long is unavailable, with what to do', async () => {
    const stream = createEnvelopeReader(database.clickhouse).read(ALL, { ...WHOLE, timeoutMs: 1 })
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toThrow(
      new DomainError('unavailable', 'The query took too long; ask for a shorter time range'),
    )
  })

  test('so is one to a server that takes the request and says nothing', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
    const silent = openClickHouse({ ...database.options, url })
    const stream = createEnvelopeReader(silent).read(ALL, { ...WHOLE, timeoutMs: 200 })
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toThrow('The query took too long')
    await silent.close()
    server.close()
  })

  test('ClickHouse away is unavailable, without its address', async () => {
    const nowhere = openClickHouse({ ...database.options, url: 'http://127.0.0.1:1' })
    const stream = createEnvelopeReader(nowhere).read(ALL, WHOLE)
    const failure = await stream[Symbol.asyncIterator]()
      .next()
      .catch((error: unknown) => error)
    expect(failure).toEqual(new DomainError('unavailable', 'The telemetry store is not available; try again'))
    await nowhere.close()
  })
})
