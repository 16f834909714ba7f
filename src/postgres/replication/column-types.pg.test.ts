import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest'
import { toRfc3339 } from '../../domain/instant.ts'
import type { Change } from './change.ts'
import {
  ScriptedSink,
  startCapture,
  TestDatabase,
  type RunningCapture,
} from '../../../test/rig/adapters/capture-rig.ts'
import { INFINITE_FUTURE, INFINITE_PAST } from './column-types.ts'

const RANGE_MICROS = 253_402_300_799_999_999n

let database: TestDatabase
let capture: RunningCapture
const sink = new ScriptedSink()

beforeAll(async () => {
  database = await TestDatabase.create(inject('postgres'))
  await database.sql(`
    CREATE TYPE mood AS ENUM ('fine', 'so "so"');
    CREATE DOMAIN moment AS timestamptz;
    CREATE TABLE literals (id serial, v text);
    CREATE TABLE rows (i2 int2, i4 int4, i8 int8, n numeric, f4 float4, f8 float8, t text, b bytea, at timestamptz,
      j jsonb, flag bool, ns numeric[], ts text[], ats timestamptz[], bs bytea[], i8s int8[])`)
  // This session has other values than the stream for every setting that affects the output format.
  await database.sql(`ALTER DATABASE ${database.server.database} SET datestyle = 'German, DMY'`)
  await database.sql(`ALTER DATABASE ${database.server.database} SET timezone = 'Asia/Kolkata'`)
  await database.sql(`ALTER DATABASE ${database.server.database} SET bytea_output = 'escape'`)
  await database.sql(`ALTER DATABASE ${database.server.database} SET extra_float_digits = -15`)
  await database.sql(`ALTER DATABASE ${database.server.database} SET intervalstyle = 'sql_standard'`)
  capture = startCapture(database, ['literals', 'rows'], sink)
  await vi.waitUntil(() => capture.capture.state === 'streaming', { timeout: 20_000, interval: 10 })
})

afterAll(async () => {
  await capture[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

/** Runs a statement that changes one row; resolves to the change. */
async function changeOf(statement: string, values?: unknown[]): Promise<Change> {
  const count = sink.taken.length
  await database.sql(statement, values)
  const change = (await sink.until(count + 1))[count]
  if (change === undefined) throw new Error('no change came')
  return change
}

describe('column values', () => {
  test.each<[string, string, unknown]>([
    ['smallint', '-32768', -32_768],
    ['int', '2147483647', 2_147_483_647],
    ['bigint', '-9223372036854775808', -9_223_372_036_854_775_808n],
    ['numeric', `'123456789012345678901234567890.000000001'`, '123456789012345678901234567890.000000001'],
    ['numeric', `'NaN'`, 'NaN'],
    ['numeric(20,4)', '1.5', '1.5000'],
    ['real', '0.1', 0.1],
    ['float8', `'-Infinity'`, -Infinity],
    ['float8', `'NaN'`, Number.NaN],
    ['float8', '0.1::float8 + 0.2::float8', 0.300_000_000_000_000_04],
    ['bool', 'true', true],
    ['bool', 'false', false],
    ['bool', 'NULL', null],
    ['text', `E'a\\nb\\\\ "ü" 😀'`, 'a\nb\\ "ü" 😀'],
    ['text', `''`, ''],
    ['char(5)', `'ab'`, 'ab   '],
    ['"char"', `'x'`, 'x'],
    ['uuid', `'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'`, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
    ['bytea', String.raw`'\x00ff5c'`, Buffer.from([0, 255, 92])],
    ['bytea', `''`, Buffer.alloc(0)],
    ['json', `'{"a" : 12345678901234567890.10}'`, '{"a" : 12345678901234567890.10}'],
    ['jsonb', `'{"b": 12345678901234567890.10, "a": null}'`, '{"a": null, "b": 12345678901234567890.10}'],
    ['timestamptz', `'2026-01-02 03:04:05.000006+02'`, 1_767_315_845_000_006n],
    ['timestamptz', `'infinity'`, INFINITE_FUTURE],
    ['timestamptz', `'-infinity'`, INFINITE_PAST],
    ['timestamptz', `'0044-03-15 12:00:00+00 BC'`, -63_517_780_800_000_000n],
    ['timestamptz', `'294276-12-31 23:59:59.999999+00'`, 9_224_318_015_999_999_999n],
    ['timestamp', `'2026-01-02 03:04:05.6'`, '2026-01-02 03:04:05.6'],
    ['timestamp', `'infinity'`, 'infinity'],
    ['date', `'2026-12-31'`, '2026-12-31'],
    ['date', `'-infinity'`, '-infinity'],
    ['time', `'03:04:05.000006'`, '03:04:05.000006'],
    ['interval', `'1 year 2 days 03:04:05'`, '1 year 2 days 03:04:05'],
    ['mood', `'so "so"'`, 'so "so"'],
    ['mood[]', `ARRAY['fine', 'so "so"']::mood[]`, String.raw`{fine,"so \"so\""}`],
    ['moment', `'1970-01-01 00:00:00.000001+00'`, 1n],
    ['inet', `'10.0.0.1/8'`, '10.0.0.1/8'],
    ['int4range', `'[1,5)'`, '[1,5)'],
    ['point', `'(1,2)'`, '(1,2)'],
    ['int[]', `'[0:1]={7,NULL}'`, [7, null]],
    ['int[]', `'{{1,2},{3,4}}'`, [[1, 2], [3, 4]]], // prettier-ignore
    ['text[]', `ARRAY['a,b', NULL, 'NULL', '', '"', '\\', '{}']`, ['a,b', null, 'NULL', '', '"', '\\', '{}']],
    ['bool[]', `'{t,f}'`, [true, false]],
    ['jsonb[]', `ARRAY['{"a": [1, "}"]}']::jsonb[]`, ['{"a": [1, "}"]}']],
    ['timestamptz[]', `ARRAY['1970-01-01 00:00:01+00', 'infinity']::timestamptz[]`, [1_000_000n, INFINITE_FUTURE]],
  ])('C-6: are decoded for the type %s from the literal %s', async (type, literal, expected) => {
    await database.sql(`ALTER TABLE literals DROP COLUMN v; ALTER TABLE literals ADD COLUMN v ${type}`)
    const change = await changeOf(`INSERT INTO literals (v) VALUES (${literal})`)
    const value = change.new?.get('v')
    expect(value instanceof Uint8Array ? Buffer.from(value) : value).toEqual(expected)
  })

  test('C-6: are decoded exactly from random rows, to the last digit and microsecond', async () => {
    await fc.assert(
      fc.asyncProperty(rows, async (row) => {
        const names = Object.keys(row)
        const places = names.map((_name, index) => `$${index + 1}`)
        const values = Object.values({ ...row, i8: String(row.i8), at: toRfc3339(row.at) })
        const change = await changeOf(`INSERT INTO rows (${names.join(', ')}) VALUES (${places.join(', ')})`, values)
        const got = Object.fromEntries(names.map((name) => [name, change.new?.get(name)]))
        expect({ ...got, f4: Math.fround(Number(got['f4'])), j: JSON.parse(String(got['j'])) }).toEqual({
          ...row,
          j: JSON.parse(row.j),
        })
      }),
      { numRuns: 300 },
    )
  })
})

const texts = fc.string({ unit: 'grapheme' })
const numerics = fc
  .tuple(fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }), fc.stringMatching(/^\d{1,30}$/))
  .map(([whole, fraction]) => `${whole}.${fraction}`)
const bytes = fc.uint8Array().map((array) => Buffer.from(array))
const bigints = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const micros = fc.bigInt({ min: -62_135_596_800_000_000n, max: RANGE_MICROS })
const doubles = fc.double({ noNaN: true }).map((value) => (Object.is(value, -0) ? 0 : value))

const rows = fc.record({
  i2: fc.integer({ min: -32_768, max: 32_767 }),
  i4: fc.integer(),
  i8: bigints,
  n: numerics,
  f4: fc.float({ noNaN: true }).map((value) => (Object.is(value, -0) ? 0 : value)),
  f8: doubles,
  t: texts,
  b: bytes,
  at: micros,
  j: fc.json({ noUnicodeString: false }).map((json) => json.replaceAll(String.raw`\u0000`, '')),
  flag: fc.boolean(),
  ns: fc.array(fc.option(numerics)),
  ts: fc.array(fc.option(texts)),
})
