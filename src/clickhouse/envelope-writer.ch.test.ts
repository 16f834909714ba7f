import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import type { JsonObject, JsonValue } from '../domain/entities.ts'
import { createTestDatabase, type TestDatabase } from './clickhouse-rig.ts'
import { openClickHouse } from './connection.ts'
import { createEnvelopeWriter, type EnvelopeRow, type ProcessedEnvelopeWriter } from './envelope-writer.ts'
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
  return { envelope, identity: `raw_envelopes:${n}` }
}

function rows(count: number, from = 0): EnvelopeRow[] {
  return Array.from({ length: count }, (_, i) => row(from + i))
}

async function shown(): Promise<number> {
  const [counted] = await database.rows<{ n: string }>('SELECT count() AS n FROM processed_envelopes')
  return Number(counted?.n)
}

/** `SELECT … FROM processed_envelopes` as a newcomer asks it. */
async function curl(sql: string): Promise<string> {
  const { url, username, password } = inject('clickhouse')
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
  const address = `${url}/?database=${database.options.database}`
  const response = await fetch(address, { method: 'POST', body: sql, headers: { authorization } })
  return response.text()
}

describe('P-8: envelopes become rows', () => {
  test('with all columns, to the microsecond', async () => {
    expect(await writer.write([row(6)], signal)).toEqual([{ kind: 'stored' }])
    expect(await curl('SELECT * FROM processed_envelopes FORMAT JSONEachRow')).toBe(
      '{"organization_id":"org","end_device_id":"device","occurred_at":"2026-01-02 03:04:05.000006",' +
        '"processed_at":"2026-01-02 03:04:05.000015","data":{"temperature_0":25.5}}\n',
    )
  })

  test('none is a request to nobody', async () => {
    expect(await writer.write([], signal)).toEqual([])
  })

  test('ten thousand go in one insert', async () => {
    const outcomes = await writer.write(rows(10_000), signal)
    expect(outcomes).toHaveLength(10_000)
    expect(outcomes.every(({ kind }) => kind === 'stored')).toBe(true)
    const parts = await database.rows<{ rows: string }>(
      `SELECT rows FROM system.parts WHERE table = 'processed_envelope_rows' AND active AND database = currentDatabase()`,
    )
    expect(parts.map(({ rows }) => Number(rows))).toEqual([10_000])
  })
})

describe('P-9: every envelope shows once', () => {
  test('when its batch is written again unchanged, it is not even stored twice', async () => {
    await writer.write(rows(100), signal)
    await writer.write(rows(100), signal)
    expect(await database.rows('SELECT count() AS n FROM processed_envelope_rows')).toEqual([{ n: '100' }])
    expect(await shown()).toBe(100)
  })

  test('when it comes again in batches put together anew, by several workers at once', async () => {
    await writer.write(rows(60), signal)
    await Promise.all([writer.write(rows(50, 30), signal), writer.write(rows(70, 10), signal)])
    const twice = [...rows(20), ...rows(20)]
    expect(await writer.write(twice, signal)).toHaveLength(40)
    expect(await shown()).toBe(80)
    expect(await curl('SELECT count(), uniqExact(occurred_at) FROM processed_envelopes')).toBe('80\t80\n')
  })

  test('also if it was processed again, later and to another result: the later one shows', async () => {
    const first = row(1, { version: 'old' })
    const again = row(1, { version: 'new' })
    const later = { ...again, envelope: { ...again.envelope, processedAt: start + 10n ** 7n } }
    await writer.write([later], signal)
    await writer.write([first], signal)
    expect(await curl('SELECT data.version FROM processed_envelopes')).toBe('new\n')
  })

  test('and two envelopes of one device and one moment are two', async () => {
    await writer.write([row(1), { ...row(1), identity: 'raw_envelopes:2' }], signal)
    expect(await shown()).toBe(2)
  })
})

describe('P-10: a row that ClickHouse refuses', () => {
  const duplicate: JsonObject = { 'a.b': 1, a: { b: 2 } }

  test('is found and named, and all others of its batch are stored', async () => {
    const batch = rows(1000)
    for (const bad of [0, 417, 418, 999]) batch[bad] = row(bad, duplicate)
    const outcomes = await writer.write(batch, signal)
    const refused = outcomes.flatMap((outcome, index) => (outcome.kind === 'refused' ? [{ index, ...outcome }] : []))
    expect(refused.map(({ index }) => index)).toEqual([0, 417, 418, 999])
    expect(refused[0]?.reason).toMatch(/^ClickHouse refuses the row: .*Duplicate path.* a\.b.*\(INCORRECT_DATA\)$/)
    expect(await shown()).toBe(996)
  })

  test('is refused alone too, and so is a batch that holds nothing else', async () => {
    expect(await writer.write([row(1, duplicate)], signal)).toMatchObject([{ kind: 'refused' }])
    const all = await writer.write([row(1, duplicate), row(2, duplicate), row(3, duplicate)], signal)
    expect(all.map(({ kind }) => kind)).toEqual(['refused', 'refused', 'refused'])
  })

  test('what no text can say is refused before it is sent', async () => {
    const outcomes = await writer.write([row(1, { x: Number.NaN }), row(2)], signal)
    expect(outcomes).toEqual([{ kind: 'refused', reason: 'NaN is not a JSON number' }, { kind: 'stored' }])
  })

  test('rows of more months than one insert may have are stored all the same', async () => {
    const month = 31n * 24n * 3_600_000_000n
    const batch = Array.from({ length: 150 }, (_, i) => row(i)).map(({ envelope, identity }, i): EnvelopeRow => ({
      identity,
      envelope: { ...envelope, occurredAt: envelope.occurredAt + BigInt(i) * month },
    }))
    const outcomes = await writer.write(batch, signal)
    expect(outcomes.every(({ kind }) => kind === 'stored')).toBe(true)
    expect(await shown()).toBe(150)
  })
})

describe('P-10: ClickHouse away', () => {
  test('is told as such, with the address and without the password', async () => {
    const nowhere = openClickHouse({ ...database.options, url: 'http://127.0.0.1:1' })
    const failure = await createEnvelopeWriter(nowhere)
      .write([row(1)], signal)
      .catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(ClickHouseUnavailable)
    expect(String(failure)).toMatch(
      /^ClickHouseUnavailable: ClickHouse at 127\.0\.0\.1:1\/test_\w+ takes no rows now: .*REFUSED/,
    )
    await nowhere.close()
  })

  test('a wrong password, a missing table or a missing database blame no row', async () => {
    for (const options of [{ password: 'wrong' }, { database: 'default' }, { database: 'nowhere' }]) {
      const broken = openClickHouse({ ...database.options, ...options })
      await expect(createEnvelopeWriter(broken).write(rows(3), signal)).rejects.toBeInstanceOf(ClickHouseUnavailable)
      await broken.close()
    }
  })

  test('an abort is an abort', async () => {
    const reason = new Error('stop')
    await expect(writer.write([row(1)], AbortSignal.abort(reason))).rejects.toBe(reason)
  })
})

describe('W-5: what a JSON column makes of data', () => {
  async function typesOf(data: JsonObject): Promise<unknown> {
    await writer.write([row(1, data)], signal)
    const [found] = await database.rows<{ types: unknown }>(
      'SELECT JSONAllPathsWithTypes(data) AS types FROM processed_envelopes',
    )
    return found?.types
  }

  test('numbers are Float64 whether integral or not; strings that look like dates or numbers are strings', async () => {
    const data = { a: 25, b: 25.5, c: -0, d: 1e21, e: '2024-01-01', f: '2024-01-01T00:00:00Z', g: '12', h: true }
    const numbers = { a: 'Float64', b: 'Float64', c: 'Float64', d: 'Float64' }
    expect(await typesOf(data)).toEqual({ ...numbers, e: 'String', f: 'String', g: 'String', h: 'Bool' })
  })

  test('a reader of Float64 gets a number from every row', async () => {
    await writer.write([row(1, { t: 25 }), row(2, { t: 25.5 })], signal)
    expect(await curl('SELECT data.t.:Float64 FROM processed_envelopes ORDER BY occurred_at')).toBe('25\n25.5\n')
    expect(await curl('SELECT count() FROM processed_envelopes WHERE data.t > 25.2')).toBe('1\n')
  })

  test('a key with a dot is a path; empty objects and nulls leave no trace; arrays may nest and mix', async () => {
    const data = { 'a.b': 1, x: {}, n: null, l: [], m: [1, 'x', [2, null], { k: 1 }], '': 1, 'ü`': 1 }
    await writer.write([row(1, data)], signal)
    expect(await curl('SELECT data FROM processed_envelopes FORMAT JSONEachRow')).toBe(
      '{"data":{"":1,"a":{"b":1},"l":[],"m":[1,"x",[2,null],{"k":1}],"ü`":1}}\n',
    )
  })

  test('any double goes in and comes out the same', async () => {
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

  test('any JSON that has no key twice is stored, and no text of it is lost', async () => {
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
