import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startClickHouse } from '../../test/rig/servers.ts'
import { createTestDatabase, type TestDatabase } from '../../test/rig/adapters/clickhouse.ts'
import type { EnvelopeRow } from './envelope-text.ts'
import { createEnvelopeWriter } from './envelope-writer.ts'
import { ClickHouseUnavailable } from '../domain/errors.ts'

const signal = new AbortController().signal
let server: Awaited<ReturnType<typeof startClickHouse>>
let database: TestDatabase
beforeAll(async () => {
  server = await startClickHouse()
  database = await createTestDatabase(server)
  await database.migrate()
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

function row(n: number): EnvelopeRow {
  const occurredAt = BigInt(Date.UTC(2026, 0, 2)) * 1000n + BigInt(n)
  const envelope = { organizationId: 'org', endDeviceId: 'device', occurredAt, processedAt: occurredAt, data: { n } }
  return { envelope, envelopeId: `raw_envelopes:${n}` }
}

function batch(from: number, count: number): EnvelopeRow[] {
  return Array.from({ length: count }, (_, i) => row(from + i))
}

async function shown(): Promise<number[]> {
  const rows = await database.rows<{ n: number }>(
    'SELECT data.n.:Float64 AS n FROM processed_envelopes ORDER BY occurred_at',
  )
  return rows.map(({ n }) => n)
}

/** Writes batches until the server is gone; returns the number of acknowledged rows. */
async function writeUntilGone(from: number): Promise<number> {
  const writer = createEnvelopeWriter(database.clickhouse)
  for (let next = from; ; next += 10) {
    try {
      await writer.write(batch(next, 10), signal)
    } catch (error) {
      if (!(error instanceof ClickHouseUnavailable)) throw error
      return next
    }
  }
}

describe('E-2, P-9: a restarted ClickHouse', () => {
  test('has every acknowledged row after a kill, and shows each once when the last batch is written again', async () => {
    const writer = createEnvelopeWriter(database.clickhouse)
    let acknowledged = 0
    for (let round = 0; round < 3; round++) {
      const target = acknowledged + 50
      const writing = writeUntilGone(acknowledged)
      await expect.poll(() => shown().then((rows) => rows.length), { interval: 5 }).toBeGreaterThan(target)
      await server.kill()
      acknowledged = await writing
      await server.start()
      const found = await shown()
      expect(found.slice(0, acknowledged)).toEqual(Array.from({ length: acknowledged }, (_, n) => n))
      // ClickHouse can have stored the last batch. After a crash the writer composes other batches.
      await writer.write(batch(acknowledged - 5, 15), signal)
      acknowledged += 10
      expect(await shown()).toEqual(Array.from({ length: acknowledged }, (_, n) => n))
    }
  })

  test('finishes a running query on a stop and has the same rows afterwards', async () => {
    const before = await shown()
    const running = database.rows('SELECT sleepEachRow(1) FROM numbers(2) SETTINGS max_block_size = 1')
    await expect
      .poll(() => database.rows("SELECT count() AS n FROM system.processes WHERE query LIKE 'SELECT sleepEachRow%'"))
      .toEqual([{ n: '1' }])
    await server.stop()
    expect(await running).toHaveLength(2)
    await server.start()
    expect(await shown()).toEqual(before)
  })
})
