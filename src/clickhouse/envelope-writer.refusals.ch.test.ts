import { beforeEach, describe, expect, inject, test } from 'vitest'
import type { JsonObject } from '../domain/entities.ts'
import { createTestDatabase, InsertCounter, type TestDatabase } from '../../test/rig/adapters/clickhouse.ts'
import type { EnvelopeRow } from './envelope-text.ts'
import { createEnvelopeWriter, type ProcessedEnvelopeWriter, type RowOutcome } from './envelope-writer.ts'

const signal = new AbortController().signal
let database: TestDatabase
let writer: ProcessedEnvelopeWriter
let counter: InsertCounter

beforeEach(async () => {
  database = await createTestDatabase(inject('clickhouse'))
  await database.migrate()
  counter = new InsertCounter(database.clickhouse)
  writer = createEnvelopeWriter(counter.clickhouse)
  return () => database[Symbol.asyncDispose]()
})

/** Returns 1,000 rows, of which every tenth has this data and is of the device `bad`. */
function rows(bad: JsonObject, from = 0): EnvelopeRow[] {
  return Array.from({ length: 1000 }, (_, index) => {
    const isBad = index % 10 === 0
    const n = from + index
    const occurredAt = BigInt(Date.UTC(2026, 0, 2)) * 1000n + BigInt(n)
    const endDeviceId = isBad ? 'bad' : `good-${n % 7}`
    const data = isBad ? bad : { t: 25.5 }
    const envelope = { organizationId: 'org', endDeviceId, occurredAt, processedAt: occurredAt, data }
    return { envelope, envelopeId: `raw_envelopes:${n}` }
  })
}

function kinds(outcomes: readonly RowOutcome[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { kind } of outcomes) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}

/** Returns the number of parts that inserts have written, among them those that are merged. */
async function parts(): Promise<number> {
  const [counted] = await database.rows<{ n: string }>(
    `SELECT count() AS n FROM system.parts WHERE database = currentDatabase() AND table = 'processed_envelope_rows' AND min_block_number = max_block_number`,
  )
  return Number(counted?.n)
}

async function shown(): Promise<number> {
  const [counted] = await database.rows<{ n: string }>('SELECT count() AS n FROM processed_envelopes')
  return Number(counted?.n)
}

describe('B-6: rows that ClickHouse would refuse', () => {
  test('for a path with two values are rejected before the insert', async () => {
    const outcomes = await writer.write(rows({ 'a.b': 1, a: { b: 2 } }), signal)
    expect(kinds(outcomes)).toEqual({ rejected: 100, stored: 900 })
    expect(outcomes[10]).toEqual({ kind: 'rejected', reason: 'data has two values at the path a.b' })
    expect({ inserts: counter.inserts, parts: await parts() }).toEqual({ inserts: 1, parts: 1 })
  })
})

describe('B-6: rows that ClickHouse refuses', () => {
  beforeEach(() =>
    database.clickhouse.client.command({
      query: 'ALTER TABLE processed_envelope_rows MODIFY COLUMN data JSON(t Float64)',
    }),
  )

  test('cost a bounded number of inserts, each is rejected with a reason, and all others are stored', async () => {
    const outcomes = await writer.write(rows({ t: 'warm' }), signal)
    expect(kinds(outcomes)).toEqual({ rejected: 100, stored: 900 })
    const reasons = outcomes.flatMap((outcome) => (outcome.kind === 'rejected' ? [outcome.reason] : []))
    expect(reasons.filter((reason) => !/cannot parse Float64 value here: "warm"/.test(reason))).toEqual([])
    expect(counter.inserts).toBeLessThanOrEqual(3)
    expect(await parts()).toBe(1)
    expect(await shown()).toBe(900)
  })

  test('make their device wait in batches of its own, so that the rows of others are one insert', async () => {
    await writer.write(rows({ t: 'warm' }), signal)
    counter.inserts = 0
    const healthy = rows({ t: 1 }, 1000)
    const before = await parts()
    expect(kinds(await writer.write(healthy, signal))).toEqual({ stored: 1000 })
    expect({ inserts: counter.inserts, parts: (await parts()) - before }).toEqual({ inserts: 2, parts: 2 })
    counter.inserts = 0
    expect(kinds(await writer.write(rows({ t: 'warm' }, 2000), signal))).toEqual({ rejected: 100, stored: 900 })
    expect(counter.inserts).toBeLessThanOrEqual(3)
    expect(await shown()).toBe(2800)
  })

  test('of many devices cost a bounded number of inserts', async () => {
    const batch = rows({ t: 'warm' }).map((row, n): EnvelopeRow => ({
      ...row,
      envelope: { ...row.envelope, endDeviceId: `device-${n}` },
    }))
    expect(kinds(await writer.write(batch, signal))).toEqual({ rejected: 100, stored: 900 })
    expect(counter.inserts).toBeLessThanOrEqual(20)
    expect(await parts()).toBe(1)
  })

  test('for a reason that names no row are found by a bounded number of inserts, and the rest is tried later', async () => {
    const { client } = database.clickhouse
    await client.command({
      query: `ALTER TABLE processed_envelope_rows ADD CONSTRAINT warm CHECK data.t > 0`,
    })
    const outcomes = await writer.write(rows({ t: -1 }), signal)
    expect(counter.inserts).toBeLessThanOrEqual(66)
    const { later = 0, rejected = 0, stored = 0 } = kinds(outcomes)
    expect(rejected).toBeGreaterThan(0)
    expect(stored).toBe(await shown())
    expect(later + rejected + stored).toBe(1000)
  })
})
