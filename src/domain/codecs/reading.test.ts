import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { JsonValue } from '../entities.ts'
import { fromRfc3339, isStorable, toRfc3339 } from '../instant.ts'
import { readingsOf } from './reading.ts'

const RECEIVED_AT = fromRfc3339('2026-01-02T03:04:05.000006Z') ?? 0n

/** Returns the times and data of the readings, or the reason. */
function read(decoded: readonly JsonValue[], receivedAt = RECEIVED_AT): unknown {
  const result = readingsOf(decoded, receivedAt)
  return result.ok ? result.readings.map(({ occurredAt, data }) => [toRfc3339(occurredAt), data]) : result.reason
}

describe('the readings of a result', () => {
  it('an object is one reading at the time of receipt, whatever its keys', () => {
    const decoded = { time: 'yesterday', data: 5 }
    expect(readingsOf(decoded, RECEIVED_AT)).toEqual({
      ok: true,
      readings: [{ occurredAt: RECEIVED_AT, data: decoded }],
    })
  })

  it('an empty list has no readings', () => {
    expect(read([])).toEqual([])
  })

  it.each<[string, JsonValue, string]>([
    ['a time', { time: '2025-12-31T23:00:00.123456Z' }, '2025-12-31T23:00:00.123456Z'],
    ['a time with an offset', { time: '2026-01-01T01:00:00+02:00' }, '2025-12-31T23:00:00.000000Z'],
    ['a time in the future', { time: '2026-02-01T00:00:00Z' }, '2026-02-01T00:00:00.000000Z'],
    ['an age', { age_s: 5 }, '2026-01-02T03:04:00.000006Z'],
    ['an age with a fraction', { age_s: 0.000_006 }, '2026-01-02T03:04:05.000000Z'],
    ['no age', { age_s: 0 }, '2026-01-02T03:04:05.000006Z'],
    ['neither time nor age', {}, '2026-01-02T03:04:05.000006Z'],
  ])('an element with %s has its time', (_what, when, expected) => {
    expect(read([{ ...(when as object), data: { n: 1 } }])).toEqual([[expected, { n: 1 }]])
  })

  it.each<[JsonValue, string]>([
    [5, 'expected an object such as {"time": "2026-01-02T03:04:05Z", "data": {…}}, not 5'],
    [[], 'expected an object such as {"time": "2026-01-02T03:04:05Z", "data": {…}}, not []'],
    [{}, 'data is not an object: it is missing'],
    [{ data: null }, 'data is not an object: null'],
    [{ data: [{ n: 1 }] }, 'data is not an object: [{"n":1}]'],
    [{ temperature: 5 }, 'unknown key "temperature"; expected "data", and "time" or "age_s"'],
    [{ data: {}, Time: 'x' }, 'unknown key "Time"; expected "data", and "time" or "age_s"'],
    [{ data: {}, time: '2026-01-02', age_s: 1 }, 'it has both time and age_s; expected one of them'],
    [{ data: {}, time: '2026-02-31T00:00:00Z' }, 'time is not RFC 3339: "2026-02-31T00:00:00Z"'],
    [{ data: {}, time: 1_700_000_000 }, 'time is not RFC 3339: 1700000000'],
    [{ data: {}, time: null }, 'time is not RFC 3339: null'],
    [{ data: {}, time: 'x'.repeat(200) }, `time is not RFC 3339: "${'x'.repeat(78)}…`],
    [{ data: {}, age_s: -1 }, 'age_s is not a number of seconds of at least 0: -1'],
    [{ data: {}, age_s: '5' }, 'age_s is not a number of seconds of at least 0: "5"'],
    [{ data: {}, age_s: 1e308 }, 'age_s is not a number of seconds of at least 0: 1e+308'],
    [{ data: {}, age_s: 1e12 }, 'its time is outside the years 1900 to 2299'],
    [{ data: {}, time: '1899-12-31T23:59:59Z' }, 'its time is outside the years 1900 to 2299'],
    [{ data: {}, time: '2300-01-01T00:00:00Z' }, 'its time is outside the years 1900 to 2299'],
  ])('%j is not a reading', (element, reason) => {
    expect(read([{ data: {} }, element, { data: {} }])).toBe(`reading 1: ${reason}`)
  })

  it('1000 readings are the limit', () => {
    const readings = Array.from({ length: 1000 }, () => ({ data: {} }))
    expect(read(readings)).toHaveLength(1000)
    expect(read([...readings, { data: {} }])).toBe('the result has 1001 readings; at most 1000 are allowed')
  })

  it('any list either gives a reading per element with a time that the table can store, or the index of an invalid one', () => {
    const element = fc.oneof(
      fc.jsonValue(),
      fc.record(
        {
          time: fc.oneof(fc.date({ noInvalidDate: true }).map(isoOrText), fc.string()),
          data: fc.dictionary(fc.string(), fc.double()),
        },
        { requiredKeys: ['data'] },
      ),
      fc.record({ age_s: fc.double(), data: fc.object() }, { requiredKeys: ['data'] }),
    )
    fc.assert(
      fc.property(fc.array(element), fc.bigInt(0n, 4_000_000_000_000_000n), (list, receivedAt) => {
        const result = readingsOf(list as JsonValue[], receivedAt)
        const reason = result.ok ? 'reading 0: none' : result.reason
        expect(reason).toMatch(/^reading \d+: /)
        const times = result.ok ? result.readings.map(({ occurredAt }) => occurredAt) : list.map(() => receivedAt)
        expect(times).toHaveLength(list.length)
        expect(times.every(isStorable)).toBe(true)
      }),
    )
  })
})

function isoOrText(date: Date): string {
  return date.toISOString()
}
