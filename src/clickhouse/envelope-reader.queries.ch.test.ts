import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { DomainError } from '../domain/errors.ts'
import type { TelemetryQuery, TelemetryRange } from '../domain/telemetry.ts'
import { createTestDatabase, type TestDatabase } from '../../test/rig/adapters/clickhouse.ts'
import { openClickHouse } from './connection.ts'
import { createEnvelopeReader } from './envelope-reader.ts'

/** All envelopes of the organization. */
const ALL: TelemetryQuery = {
  organizationId: 'org',
  endDeviceId: null,
  from: null,
  to: null,
  fieldPaths: [],
  withUplink: true,
}
const DEVICE: TelemetryQuery = { ...ALL, endDeviceId: 'device' }
const WHOLE: TelemetryRange = { after: null, limit: null, timeoutMs: 10_000 }

/** With a million rows. */
let large: TestDatabase

beforeAll(async () => {
  large = await createTestDatabase(inject('clickhouse'))
  await large.migrate()
  await large.clickhouse.client.command({
    query: `INSERT INTO processed_envelope_rows (organization_id, end_device_id, occurred_at, data, identity)
      SELECT 'org', 'device', toDateTime64('2026-01-01 00:00:00', 6, 'UTC') + number, '{"n": 1.5}', toString(number)
      FROM numbers(1000000)`,
  })
})
afterAll(() => large[Symbol.asyncDispose]())

/** Returns the reader's running queries. Other test files query databases of their own on the same server. */
const running = (): Promise<unknown[]> =>
  large.rows(`SELECT query FROM system.processes
    WHERE current_database = '${large.options.database}' AND query NOT LIKE '%system.processes%'`)

test('A-4: an abort cancels the query in ClickHouse and rejects with the reason', async () => {
  const controller = new AbortController()
  const reader = createEnvelopeReader(large.clickhouse)
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

test('a reader that stops reading cancels the query', async () => {
  for await (const batch of createEnvelopeReader(large.clickhouse).read(DEVICE, WHOLE)) {
    expect(batch.length).toBeGreaterThan(0)
    expect(await running()).toHaveLength(1)
    break
  }
  await expect.poll(running).toEqual([])
})

test('an abort before the start sends no query', async () => {
  const reader = createEnvelopeReader(openClickHouse({ ...large.options, url: 'http://127.0.0.1:1' }))
  const aborted = AbortSignal.abort(new Error('gone'))
  const stream = reader.read(ALL, WHOLE, { signal: aborted })
  await expect(stream[Symbol.asyncIterator]().next()).rejects.toThrow('gone')
})

test('a timeout is an unavailable error, with advice', async () => {
  const stream = createEnvelopeReader(large.clickhouse).read(ALL, { ...WHOLE, timeoutMs: 1 })
  await expect(stream[Symbol.asyncIterator]().next()).rejects.toThrow(
    new DomainError('unavailable', 'The query took too long; request a shorter time range'),
  )
})

test('a server that does not respond is an unavailable error', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  const silent = openClickHouse({ ...large.options, url })
  const stream = createEnvelopeReader(silent).read(ALL, { ...WHOLE, timeoutMs: 200 })
  await expect(stream[Symbol.asyncIterator]().next()).rejects.toThrow('The query took too long')
  await silent.close()
  server.close()
})

test('an unreachable ClickHouse is an unavailable error, without its address', async () => {
  const nowhere = openClickHouse({ ...large.options, url: 'http://127.0.0.1:1' })
  const stream = createEnvelopeReader(nowhere).read(ALL, WHOLE)
  const failure = await stream[Symbol.asyncIterator]()
    .next()
    .catch((error: unknown) => error)
  expect(failure).toEqual(new DomainError('unavailable', 'The telemetry store is not available; try again'))
  await nowhere.close()
})
