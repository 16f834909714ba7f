import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import type { JsonObject, Uplink } from '../domain/entities.ts'
import {
  fieldPaths,
  cursorOf,
  type StoredEnvelope,
  type TelemetryQuery,
  type TelemetryRange,
} from '../domain/telemetry.ts'
import { createTestDatabase, type TestDatabase } from '../../test/rig/adapters/clickhouse.ts'
import { envelopeQuery, createEnvelopeReader, READ_SETTINGS } from './envelope-reader.ts'
import type { EnvelopeRow } from './envelope-text.ts'
import { createEnvelopeWriter } from './envelope-writer.ts'

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
const signal = new AbortController().signal
const start = BigInt(Date.UTC(2026, 0, 31, 23, 59, 59)) * 1000n
const SECOND = 1_000_000n

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase(inject('clickhouse'))
  await database.migrate()
})
afterAll(() => database[Symbol.asyncDispose]())
beforeEach(() => database.clickhouse.client.command({ query: 'TRUNCATE TABLE processed_envelope_rows' }))

interface Place {
  readonly organizationId?: string
  readonly endDeviceId?: string
  readonly occurredAt?: bigint
  readonly processedAt?: bigint
  readonly uplink?: Uplink
}

function row(n: number, data: JsonObject = { n }, place: Place = {}): EnvelopeRow {
  const occurredAt = start + BigInt(n) * SECOND
  const whose = { organizationId: 'org', endDeviceId: 'device' }
  return {
    envelope: { ...whose, occurredAt, processedAt: occurredAt, data, ...place },
    envelopeId: `raw_envelopes:${n}:1767225600000`,
  }
}

async function write(...rows: readonly EnvelopeRow[]): Promise<void> {
  const outcomes = await createEnvelopeWriter(database.clickhouse).write(rows, signal)
  expect(outcomes.filter(({ kind }) => kind !== 'stored')).toEqual([])
}

async function read(query: TelemetryQuery, range: Partial<TelemetryRange> = {}): Promise<StoredEnvelope[]> {
  const found: StoredEnvelope[] = []
  for await (const batch of createEnvelopeReader(database.clickhouse).read(query, { ...WHOLE, ...range })) {
    found.push(...batch)
  }
  return found
}

async function data(query: TelemetryQuery, range?: Partial<TelemetryRange>): Promise<JsonObject[]> {
  return (await read(query, range)).map(({ envelope }) => envelope.data)
}

function numbers(count: number, from = 0): { n: number }[] {
  return Array.from({ length: count }, (_, i) => ({ n: from + count - 1 - i }))
}

describe.each([
  ['of a device', DEVICE],
  ['of an organization', ALL],
])('envelopes %s', (_, query) => {
  test('are returned newest first, across months', async () => {
    await write(row(1), row(0), row(2))
    const [newest, ...others] = await read(query)
    expect(newest).toEqual({ envelope: row(2).envelope, envelopeId: row(2).envelopeId })
    expect(others.map(({ envelope }) => envelope.data)).toEqual([{ n: 1 }, { n: 0 }])
  })

  test('W-5: have the properties of their uplink, on request', async () => {
    const uplink = { fPort: 2, fCnt: 4_294_967_295, metadata: { rssi: -113, gateway_ids: ['a'], nested: { snr: 7.5 } } }
    await write(row(0), row(1, { n: 1 }, { uplink }), row(2, {}, { uplink: { fCnt: 0 } }))
    const uplinks = (await read(query)).map(({ envelope }) => envelope.uplink)
    expect(uplinks).toEqual([{ fCnt: 0 }, uplink, undefined])
    expect((await read({ ...query, fieldPaths: ['n'] }))[1]?.envelope).toMatchObject({ data: { n: 1 }, uplink })
    expect((await read({ ...query, withUplink: false })).filter(({ envelope }) => 'uplink' in envelope)).toEqual([])
    const rows = await database.rows('SELECT f_port, metadata.rssi AS rssi FROM processed_envelopes WHERE f_port = 2')
    expect(rows).toEqual([{ f_port: 2, rssi: -113 }])
  })

  test('P-9: are returned once, with the latest result, if they were written again', async () => {
    const again = row(1, { n: 'later' }, { processedAt: start + 9n * SECOND })
    await write(row(0), row(1))
    await write(again)
    await write(row(1), row(2))
    await write(row(2), row(3))
    expect(await data(query)).toEqual([{ n: 3 }, { n: 2 }, { n: 'later' }, { n: 0 }])
    expect(await data(query, { limit: 3 })).toHaveLength(3)
    const stored = await database.rows<{ n: string }>('SELECT count() AS n FROM processed_envelope_rows')
    expect(Number(stored[0]?.n)).toBeGreaterThan(4)
  })

  test('are filtered by from (inclusive) and to (exclusive)', async () => {
    await write(...Array.from({ length: 5 }, (__, n) => row(n)))
    const [from, to] = [start + SECOND, start + 3n * SECOND]
    expect(await data({ ...query, from, to })).toEqual([{ n: 2 }, { n: 1 }])
    expect(await data({ ...query, from: from + 1n })).toEqual([{ n: 4 }, { n: 3 }, { n: 2 }])
    expect(await data({ ...query, to: to + 1n })).toEqual([{ n: 3 }, { n: 2 }, { n: 1 }, { n: 0 }])
  })

  test.each([10n ** 30n, 2n ** 63n - 1n, 253_402_300_799_999_999n])(
    'are filtered by times beyond the range of envelopes: ±%d',
    async (far) => {
      await write(row(1))
      expect(await data({ ...query, from: -far, to: far })).toEqual([{ n: 1 }])
      expect(await data({ ...query, from: far })).toEqual([])
      expect(await data({ ...query, to: -far })).toEqual([])
    },
  )

  test('are paged completely and without repetition while others are written', async () => {
    await write(...Array.from({ length: 40 }, (__, n) => row(n)))
    const seen: StoredEnvelope[] = []
    for (let next = 100; ; next++) {
      const last = seen.at(-1)
      const page = await read(query, { after: last === undefined ? null : cursorOf(last), limit: 7 })
      seen.push(...page)
      if (page.length === 0) break
      const between = row(next, { late: true }, { occurredAt: start + BigInt(next % 40) * SECOND + 5n })
      await write(row(next), row(next % 40), between)
    }
    expect(seen.filter(({ envelope }) => 'n' in envelope.data).map(({ envelope }) => envelope.data)).toEqual(
      numbers(40),
    )
    expect(new Set(seen.map(({ envelopeId }) => envelopeId)).size).toBe(seen.length)
  })

  test.each([
    ['', ''],
    [' as readings of lists', '#1'],
  ])('B-7: of one moment are ordered by their stream sequence as a number, in every page%s', async (_what, end) => {
    const moment = { occurredAt: start, processedAt: start }
    const rows = [9, 100, 10, 8].map((n) => row(n, { n }, moment))
    await write(...rows.map(({ envelope, envelopeId }) => ({ envelope, envelopeId: `${envelopeId}${end}` })))
    expect(await data(query, { limit: 1 })).toEqual([{ n: 100 }])
    const seen: StoredEnvelope[] = []
    for (let page = await read(query, { limit: 1 }); page[0] !== undefined;) {
      seen.push(page[0])
      page = await read(query, { after: cursorOf(page[0]), limit: 1 })
    }
    expect(seen.map(({ envelope }) => envelope.data['n'])).toEqual([100, 10, 9, 8])
  })

  test('have a stable order by device and envelope id if their times are equal', async () => {
    const moment = { occurredAt: start, processedAt: start }
    await write(...Array.from({ length: 12 }, (__, n) => row(n, { n }, moment)))
    const seen: StoredEnvelope[] = []
    for (let at: StoredEnvelope | undefined; ; at = seen.at(-1)) {
      const page = await read(query, { after: at === undefined ? null : cursorOf(at), limit: 5 })
      if (page.length === 0) break
      seen.push(...page)
    }
    expect(new Set(seen.map(({ envelope }) => envelope.data['n'])).size).toBe(12)
    expect(seen).toHaveLength(12)
  })
})

test('envelopes have the warnings of their codec', async () => {
  const { envelope, envelopeId } = row(0)
  await write({ envelope: { ...envelope, warnings: ['low battery'] }, envelopeId }, row(1))
  expect((await read(DEVICE)).map(({ envelope: { warnings } }) => warnings)).toEqual([undefined, ['low battery']])
})

test('envelopes of one moment with ids that contain no sequence are ordered by the id', async () => {
  const ids = ['b', 'other:text', 'raw_envelopes:1', '']
  await write(...ids.map((envelopeId) => ({ ...row(0), envelopeId })))
  expect((await read(DEVICE)).map(({ envelopeId }) => envelopeId)).toEqual(['raw_envelopes:1', 'other:text', 'b', ''])
})

describe('isolation of organizations', () => {
  beforeEach(async () => {
    await write(
      row(1),
      row(2, { n: 2 }, { endDeviceId: 'other device' }),
      row(3, { n: 3 }, { organizationId: 'other', endDeviceId: 'device' }),
      row(4, { n: 4 }, { organizationId: 'other', endDeviceId: 'theirs' }),
    )
  })

  test('never returns envelopes of another organization, not even for a shared device id', async () => {
    expect(await data(ALL)).toEqual([{ n: 2 }, { n: 1 }])
    expect(await data(DEVICE)).toEqual([{ n: 1 }])
    expect(await data({ ...ALL, endDeviceId: 'theirs' })).toEqual([])
    expect(await data({ ...ALL, organizationId: 'missing' })).toEqual([])
  })

  const injections = [
    `' OR 1=1 --`,
    `org' OR organization_id != '`,
    String.raw`\' OR 1=1 --`,
    `{organization:String}`,
    `') UNION ALL SELECT * FROM processed_envelope_rows --`,
    `'; DROP TABLE processed_envelope_rows; --`,
    '%',
    'a\nb\tc\\N\r',
    '\\N',
    '"',
    '}',
  ]

  test.each(injections)('A-7: treats %j as a value in every parameter', async (text) => {
    expect(await data({ ...ALL, organizationId: text })).toEqual([])
    expect(await data({ ...ALL, endDeviceId: text })).toEqual([])
    const after = { occurredAt: start, endDeviceId: text, envelopeId: text }
    expect(await data(ALL, { after })).toEqual([])
    expect(await data({ ...DEVICE, fieldPaths: [text] })).toEqual([{}])
    expect(await data(ALL)).toHaveLength(2)
    await write(row(9, { [text]: 'found', inner: { [text]: 'too' } }, { endDeviceId: text }))
    const [mine] = await read({ ...ALL, endDeviceId: text, fieldPaths: [] })
    expect(mine?.envelope).toMatchObject({ endDeviceId: text, organizationId: 'org' })
  })
})

describe('field paths', () => {
  const sample: JsonObject = {
    temperature_0: 25,
    accelerometer_1: { x: 1.5, y: -2, deep: { er: 'z' } },
    switch_2: true,
    text: `it's "quoted", \\ and \n more 😀`,
    date: '2026-01-01',
    list: [1, 'two', { three: 3 }],
    nothing: null,
    'a key': 1,
    'with:colon': 2,
    '^caret': 3,
    'back\\slash': { in: 4 },
    '@at': 5,
    größe: 6,
  }

  test('are optional: without any, all fields are returned with their types', async () => {
    await write(row(1, sample))
    const { nothing: _, ...kept } = sample
    expect(await data(DEVICE)).toEqual([kept])
  })

  test.each([
    [['temperature_0'], { temperature_0: 25 }],
    [['accelerometer_1.x'], { accelerometer_1: { x: 1.5 } }],
    [['accelerometer_1.y', 'accelerometer_1.deep.er'], { accelerometer_1: { y: -2, deep: { er: 'z' } } }],
    [['accelerometer_1'], { accelerometer_1: sample['accelerometer_1'] }],
    [['accelerometer_1.deep', 'accelerometer_1'], { accelerometer_1: sample['accelerometer_1'] }],
    [['accelerometer_1.deep'], { accelerometer_1: { deep: { er: 'z' } } }],
    [['list', 'switch_2', 'date'], { list: sample['list'], switch_2: true, date: '2026-01-01' }],
    [['text'], { text: sample['text'] }],
    [['a key', 'with:colon', '^caret', '@at'], { 'a key': 1, 'with:colon': 2, '^caret': 3, '@at': 5 }],
    [['back\\slash'], { 'back\\slash': { in: 4 } }],
    [['größe'], { größe: 6 }],
    [['nothing', 'nope', 'nope.nope', 'temperature_0.x', 'list.three'], {}],
    [['toString', '__proto__', 'constructor.name'], {}],
    [['temperature_0.:Float64', 'size', 'null'], {}],
  ])('select from the paths %j their fields', async (paths, expected) => {
    await write(row(1, sample), row(0, { temperature_0: 'text here' }))
    const [found] = await data({ ...DEVICE, fieldPaths: fieldPaths('field_paths', paths) })
    expect(found).toEqual(expected)
  })

  test('return the type of each envelope', async () => {
    await write(row(1, { v: 1.5 }), row(2, { v: 'text' }), row(3, { v: { in: 1 } }), row(4, { v: [true] }), row(5, {}))
    const paths = { ...DEVICE, fieldPaths: ['v'] }
    expect(await data(paths)).toEqual([{}, { v: [true] }, { v: { in: 1 } }, { v: 'text' }, { v: 1.5 }])
  })

  test('select fifty of more paths than a JSON column has dynamic paths', async () => {
    const wide = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`field_${i}`, i]))
    await write(row(1, wide))
    const wanted = Array.from({ length: 50 }, (_, i) => `field_${i * 60}`)
    const expected = Object.fromEntries(wanted.map((path, i) => [path, i * 60]))
    expect(await data({ ...DEVICE, fieldPaths: wanted })).toEqual([expected])
  })
})

test('the newest envelopes of a device are read from the end of its rows', async () => {
  const { text, parameters } = envelopeQuery(DEVICE, { ...WHOLE, limit: 1 })
  await write(row(1))
  const result = await database.clickhouse.client.query({
    query: `EXPLAIN PIPELINE ${text}`,
    query_params: parameters,
    clickhouse_settings: READ_SETTINGS,
    format: 'TabSeparatedRaw',
  })
  const pipeline = await result.text()
  expect(pipeline).toContain('InReverseOrder')
  expect(pipeline).toContain('LimitBySortedStreamTransform')
})
