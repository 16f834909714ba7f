import { ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest'
import type { JsonObject } from '../domain/entities.ts'
import { createTestDatabase, type TestDatabase } from '../../test/rig/adapters/clickhouse.ts'
import type { EnvelopeRow } from './envelope-text.ts'
import { createEnvelopeWriter, type ProcessedEnvelopeWriter } from './envelope-writer.ts'
import { ClickHouseUnavailable } from '../domain/errors.ts'

const signal = new AbortController().signal
let database: TestDatabase
let writer: ProcessedEnvelopeWriter

beforeEach(async () => {
  database = await createTestDatabase(inject('clickhouse'))
  await database.migrate()
  writer = createEnvelopeWriter(database.clickhouse)
})
afterEach(() => database[Symbol.asyncDispose]())

function row(n: number, data: JsonObject = { t: 25.5 }): EnvelopeRow {
  const occurredAt = BigInt(Date.UTC(2026, 0, 2)) * 1000n + BigInt(n)
  const envelope = { organizationId: 'org', endDeviceId: 'device', occurredAt, processedAt: occurredAt, data }
  return { envelope, envelopeId: `raw_envelopes:${n}` }
}

const rows = (count: number): EnvelopeRow[] => Array.from({ length: count }, (_, n) => row(n))
const alter = (change: string) =>
  database.clickhouse.client.command({ query: `ALTER TABLE processed_envelope_rows ${change}` })

async function shown(): Promise<number> {
  const [counted] = await database.rows<{ n: string }>('SELECT count() AS n FROM processed_envelopes')
  return Number(counted?.n)
}

describe('P-10: a ClickHouse that accepts no rows', () => {
  test.each([
    { trouble: 'the disk is full', setting: 'min_free_disk_bytes_to_perform_insert', value: '1000000000000000000' },
    { trouble: 'merges lag', setting: 'parts_to_throw_insert', value: '1' },
  ])('delays all rows and rejects none while $trouble', async ({ setting, value }) => {
    await writer.write(rows(10), signal)
    await alter(`MODIFY SETTING ${setting} = ${value}`)
    const more = rows(50).slice(10)
    for (let attempt = 0; attempt < 3; attempt++)
      await expect(writer.write(more, signal)).rejects.toBeInstanceOf(ClickHouseUnavailable)
    await expect(writer.write([row(60)], signal)).rejects.toBeInstanceOf(ClickHouseUnavailable)
    expect(await shown()).toBe(10)
    await alter(`RESET SETTING ${setting}`)
    expect(await writer.write(more, signal)).toEqual(more.map(() => ({ kind: 'stored' })))
    expect(await shown()).toBe(50)
  })

  test('delays all rows and rejects none while the user has only read permission', async () => {
    const { url, username, password } = database.options
    const client = createClient({
      url,
      username,
      password,
      database: database.options.database,
      clickhouse_settings: { readonly: '1' },
      log: { level: ClickHouseLogLevel.OFF },
    })
    const readOnly = createEnvelopeWriter({ ...database.clickhouse, client })
    const failure: unknown = await readOnly.write(rows(3), signal).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(ClickHouseUnavailable)
    expect(String(failure)).toMatch(/does not accept rows: .*readonly/i)
    expect(await shown()).toBe(0)
    await client.close()
  })

  test('delays all rows and rejects none while the table fails with an error that names no row', async () => {
    await alter(`ADD COLUMN broken String DEFAULT toString(throwIf(1, 'a fault of the table'))`)
    await expect(writer.write(rows(40), signal)).rejects.toThrow('a fault of the table')
    expect(await shown()).toBe(0)
    await alter('DROP COLUMN broken')
    await writer.write(rows(40), signal)
    expect(await shown()).toBe(40)
  })
})

describe('P-10: rows that do not fit the type of a column', () => {
  test('are rejected with the path, and no others', async () => {
    await alter('MODIFY COLUMN data JSON(t Float64)')
    const batch = rows(100)
    batch[7] = row(7, { t: 'warm' })
    batch[70] = row(70, { t: { nested: 1 } })
    const outcomes = await writer.write(batch, signal)
    const rejected = outcomes.flatMap((outcome, index) => (outcome.kind === 'rejected' ? [{ index, ...outcome }] : []))
    expect(rejected.map(({ index }) => index)).toEqual([7, 70])
    expect(rejected[0]?.reason).toMatch(/cannot parse Float64 value here: "warm".*path t/)
    expect(await shown()).toBe(98)
  })

  test('do not include rows with different types at one path', async () => {
    const batch = [row(0, { v: 1 }), row(1, { v: 'one' }), row(2, { v: { one: 1 } }), row(3, { v: [1, 'one'] })]
    expect(await writer.write(batch, signal)).toEqual(batch.map(() => ({ kind: 'stored' })))
    const found = await database.rows<{ data: unknown }>('SELECT data FROM processed_envelopes ORDER BY occurred_at')
    expect(found.map(({ data }) => data)).toEqual(batch.map(({ envelope }) => envelope.data))
  })
})

describe('P-10: rows of a wrong clock', () => {
  const at = (year: number, n: number): EnvelopeRow => {
    const { envelope, envelopeId } = row(n)
    return { envelopeId, envelope: { ...envelope, occurredAt: BigInt(Date.UTC(year, 5, 1)) * 1000n } }
  }

  test('are stored with their time if it is in the years 1900 to 2299, and rejected otherwise', async () => {
    const years = [1899, 1900, 1970, 2026, 2299, 2300, 9999]
    const outcomes = await writer.write(
      years.map((year, n) => at(year, n)),
      signal,
    )
    expect(outcomes.map(({ kind }) => kind)).toEqual(
      years.map((year) => (year < 1900 || year > 2299 ? 'rejected' : 'stored')),
    )
    expect(outcomes.at(-1)).toMatchObject({
      reason: expect.stringMatching(/occurred_at is outside the years 1900 to 2299/),
    })
    const found = await database.rows(
      'SELECT toYear(occurred_at) AS year FROM processed_envelopes ORDER BY occurred_at',
    )
    expect(found).toEqual([{ year: 1900 }, { year: 1970 }, { year: 2026 }, { year: 2299 }])
  })
})
