import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import type { JsonObject, JsonValue } from '../domain/entities.ts'
import { createTestDatabase, InsertCounter, type TestDatabase } from '../../test/rig/adapters/clickhouse.ts'
import { openClickHouse } from './connection.ts'
import type { EnvelopeRow } from './envelope-text.ts'
import { createEnvelopeWriter, type ProcessedEnvelopeWriter } from './envelope-writer.ts'
import { ClickHouseUnavailable } from '../domain/errors.ts'

const signal = new AbortController().signal
const start = BigInt(Date.UTC(2026, 0, 2, 3, 4, 5)) * 1000n
let database: TestDatabase
let writer: ProcessedEnvelopeWriter

beforeAll(async () => {
  database = await createTestDatabase(inject('clickhouse'))
  await database.migrate()
  writer = createEnvelopeWriter(database.clickhouse)
})
afterAll(() => database[Symbol.asyncDispose]())
beforeEach(() => database.clickhouse.client.command({ query: 'TRUNCATE TABLE processed_envelope_rows' }))

function row(n: number, data: JsonObject = { temperature_0: 25.5 }): EnvelopeRow {
  const occurredAt = start + BigInt(n)
  const envelope = { organizationId: 'org', endDeviceId: 'device', occurredAt, processedAt: occurredAt + 9n, data }
  return { envelope, envelopeId: `raw_envelopes:${n}` }
}

function rows(count: number, from = 0): EnvelopeRow[] {
  return Array.from({ length: count }, (_, i) => row(from + i))
}

async function shown(): Promise<number> {
  const [counted] = await database.rows<{ n: string }>('SELECT count() AS n FROM processed_envelopes')
  return Number(counted?.n)
}

/** Queries over plain HTTP. */
async function curl(sql: string): Promise<string> {
  const { url, username, password } = inject('clickhouse')
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
  const address = `${url}/?database=${database.options.database}`
  const response = await fetch(address, { method: 'POST', body: sql, headers: { authorization } })
  return response.text()
}

describe('P-8: the envelope writer', () => {
  test('stores all columns with microseconds', async () => {
    const { envelope, envelopeId } = row(6)
    const warned = { envelopeId, envelope: { ...envelope, warnings: ['low battery', 'say "hi"'] } }
    expect(await writer.write([warned], signal)).toEqual([{ kind: 'stored' }])
    expect(await curl('SELECT * FROM processed_envelopes FORMAT JSONEachRow')).toBe(
      '{"organization_id":"org","end_device_id":"device","occurred_at":"2026-01-02 03:04:05.000006",' +
        '"processed_at":"2026-01-02 03:04:05.000015","data":{"temperature_0":25.5},"f_port":null,"f_cnt":null,"metadata":{},' +
        '"warnings":["low battery","say \\"hi\\""]}\n',
    )
  })

  test('accepts an empty batch', async () => {
    expect(await writer.write([], signal)).toEqual([])
  })

  test('stores ten thousand rows with one insert', async () => {
    const outcomes = await writer.write(rows(10_000), signal)
    expect(outcomes).toHaveLength(10_000)
    expect(outcomes.every(({ kind }) => kind === 'stored')).toBe(true)
    const parts = await database.rows<{ rows: string }>(
      `SELECT rows FROM system.parts WHERE table = 'processed_envelope_rows' AND active AND database = currentDatabase()`,
    )
    expect(parts.map(({ rows }) => Number(rows))).toEqual([10_000])
  })
})

describe('B-2: large rows', () => {
  test('are stored with inserts of at most 16 MiB, in their order', async () => {
    const counter = new InsertCounter(database.clickhouse)
    const text = 'x'.repeat(1_000_000)
    const batch = Array.from({ length: 40 }, (_, n) => row(n, n % 10 === 0 ? { n } : { text }))
    const outcomes = await createEnvelopeWriter(counter.clickhouse).write(batch, signal)
    expect(outcomes).toEqual(batch.map(() => ({ kind: 'stored' })))
    expect(await shown()).toBe(40)
    expect(counter.inserts).toBe(3)
  })
})

describe('P-9: envelopes that are written again', () => {
  test('are stored once when the same batch is written again', async () => {
    await writer.write(rows(100), signal)
    await writer.write(rows(100), signal)
    expect(await database.rows('SELECT count() AS n FROM processed_envelope_rows')).toEqual([{ n: '100' }])
    expect(await shown()).toBe(100)
  })

  test('appear once in the view when concurrent writers write them again in other batches', async () => {
    await writer.write(rows(60), signal)
    await Promise.all([writer.write(rows(50, 30), signal), writer.write(rows(70, 10), signal)])
    const twice = [...rows(20), ...rows(20)]
    expect(await writer.write(twice, signal)).toHaveLength(40)
    expect(await shown()).toBe(80)
    expect(await curl('SELECT count(), uniqExact(occurred_at) FROM processed_envelopes')).toBe('80\t80\n')
  })

  test('appear with the latest result when they were processed again', async () => {
    const first = row(1, { version: 'old' })
    const again = row(1, { version: 'new' })
    const later = { ...again, envelope: { ...again.envelope, processedAt: start + 10n ** 7n } }
    await writer.write([later], signal)
    await writer.write([first], signal)
    expect(await curl('SELECT data.version FROM processed_envelopes')).toBe('new\n')
  })

  test('remain distinct when device and time are equal', async () => {
    await writer.write([row(1), { ...row(1), envelopeId: 'raw_envelopes:2' }], signal)
    expect(await shown()).toBe(2)
  })
})

describe('P-10: rows that ClickHouse rejects', () => {
  const duplicate: JsonObject = { 'a.b': 1, a: { b: 2 } }

  test('are reported with a reason, and the other rows of the batch are stored', async () => {
    const batch = rows(1000)
    for (const bad of [0, 417, 418, 999]) batch[bad] = row(bad, duplicate)
    const outcomes = await writer.write(batch, signal)
    const rejected = outcomes.flatMap((outcome, index) => (outcome.kind === 'rejected' ? [{ index, ...outcome }] : []))
    expect(rejected.map(({ index }) => index)).toEqual([0, 417, 418, 999])
    expect(rejected[0]?.reason).toBe('data has two values at the path a.b')
    expect(await shown()).toBe(996)
  })

  test('are rejected even in a batch without valid rows', async () => {
    expect(await writer.write([row(1, duplicate)], signal)).toMatchObject([{ kind: 'rejected' }])
    const all = await writer.write([row(1, duplicate), row(2, duplicate), row(3, duplicate)], signal)
    expect(all.map(({ kind }) => kind)).toEqual(['rejected', 'rejected', 'rejected'])
  })

  test('are rejected before the insert when JSON cannot represent them', async () => {
    const outcomes = await writer.write([row(1, { x: Number.NaN }), row(2)], signal)
    expect(outcomes).toEqual([{ kind: 'rejected', reason: 'NaN is not a JSON number' }, { kind: 'stored' }])
  })

  test('are not those of more months than one insert allows, which are stored with as few inserts as possible', async () => {
    const batch = Array.from({ length: 500 }, (_, i) => row(i)).map(({ envelope, envelopeId }, i): EnvelopeRow => ({
      envelopeId,
      envelope: { ...envelope, occurredAt: BigInt(Date.UTC(2000, i % 250)) * 1000n },
    }))
    const counter = new InsertCounter(database.clickhouse)
    const outcomes = await createEnvelopeWriter(counter.clickhouse).write(batch, signal)
    expect(outcomes).toEqual(batch.map(() => ({ kind: 'stored' })))
    expect(counter.inserts).toBe(3)
    expect(await shown()).toBe(500)
  })
})

describe('P-10: an unavailable ClickHouse', () => {
  test('is reported with the address and without the password', async () => {
    const nowhere = openClickHouse({ ...database.options, url: 'http://127.0.0.1:1' })
    const failure = await createEnvelopeWriter(nowhere)
      .write([row(1)], signal)
      .catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(ClickHouseUnavailable)
    expect(String(failure)).toMatch(
      /^ClickHouseUnavailable: ClickHouse at 127\.0\.0\.1:1\/test_\w+ does not accept rows: .*REFUSED/,
    )
    await nowhere.close()
  })

  test('is reported for a wrong password, a missing table and a missing database', async () => {
    for (const options of [{ password: 'wrong' }, { database: 'default' }, { database: 'nowhere' }]) {
      const broken = openClickHouse({ ...database.options, ...options })
      await expect(createEnvelopeWriter(broken).write(rows(3), signal)).rejects.toBeInstanceOf(ClickHouseUnavailable)
      await broken.close()
    }
  })

  test('is not reported when an abort ends the insert, which rejects with the reason of the abort', async () => {
    const reason = new Error('stop')
    await expect(writer.write([row(1)], AbortSignal.abort(reason))).rejects.toBe(reason)
  })
})

describe('W-5: the JSON column', () => {
  async function typesOf(data: JsonObject): Promise<unknown> {
    await writer.write([row(1, data)], signal)
    const [found] = await database.rows<{ types: unknown }>(
      'SELECT JSONAllPathsWithTypes(data) AS types FROM processed_envelopes',
    )
    return found?.types
  }

  test('stores all numbers as Float64 and keeps strings that look like dates or numbers', async () => {
    const data = { a: 25, b: 25.5, c: -0, d: 1e21, e: '2024-01-01', f: '2024-01-01T00:00:00Z', g: '12', h: true }
    const numbers = { a: 'Float64', b: 'Float64', c: 'Float64', d: 'Float64' }
    expect(await typesOf(data)).toEqual({ ...numbers, e: 'String', f: 'String', g: 'String', h: 'Bool' })
  })

  test('returns a number for every row when a path is read as Float64', async () => {
    await writer.write([row(1, { t: 25 }), row(2, { t: 25.5 })], signal)
    expect(await curl('SELECT data.t.:Float64 FROM processed_envelopes ORDER BY occurred_at')).toBe('25\n25.5\n')
    expect(await curl('SELECT count() FROM processed_envelopes WHERE data.t > 25.2')).toBe('1\n')
  })

  test('reads a dotted key as a path, drops empty objects and nulls and keeps nested mixed arrays', async () => {
    const data = { 'a.b': 1, x: {}, n: null, l: [], m: [1, 'x', [2, null], { k: 1 }], '': 1, 'ü`': 1 }
    await writer.write([row(1, data)], signal)
    expect(await curl('SELECT data FROM processed_envelopes FORMAT JSONEachRow')).toBe(
      '{"data":{"":1,"a":{"b":1},"l":[],"m":[1,"x",[2,null],{"k":1}],"ü`":1}}\n',
    )
  })

  test('stores every double exactly', async () => {
    const double = fc.double({ noNaN: true, noDefaultInfinity: true })
    const values = fc.sample(double, { numRuns: 2000, seed: 20_260_102 })
    await writer.write(
      values.map((value, i) => row(i, { value })),
      signal,
    )
    const found = await database.rows<{ bits: string }>(
      "SELECT leftPad(hex(reinterpretAsUInt64(assumeNotNull(data.value.:Float64))), 16, '0') AS bits FROM processed_envelopes ORDER BY occurred_at",
    )
    const bits = new DataView(new ArrayBuffer(8))
    const expected = values.map((value) => {
      bits.setFloat64(0, value)
      return bits.getBigUint64(0).toString(16).toUpperCase().padStart(16, '0')
    })
    expect(found.map((each) => each.bits)).toEqual(expected)
  })

  test('stores any JSON without duplicate keys and keeps its strings', async () => {
    const texts = fc.string({ unit: 'grapheme' })
    const { data } = fc.letrec<{ data: JsonValue; object: JsonObject }>((tie) => ({
      data: fc.oneof(
        { depthSize: 'small' },
        texts,
        fc.boolean(),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        tie('object'),
      ),
      object: fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), tie('data')),
    }))
    const samples = fc.sample(data, { numRuns: 300, seed: 7 })
    const outcomes = await writer.write(
      samples.map((value, i) => row(i, { value })),
      signal,
    )
    expect(outcomes.filter(({ kind }) => kind !== 'stored')).toEqual([])
    const strings = await database.rows<{ s: string }>(
      'SELECT data.value.:String AS s FROM processed_envelopes WHERE isNotNull(data.value.:String) ORDER BY occurred_at',
    )
    expect(strings.map(({ s }) => s)).toEqual(samples.filter((value) => typeof value === 'string'))
  })
})
