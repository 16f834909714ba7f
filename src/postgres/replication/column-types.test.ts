import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toRfc3339 } from '../../domain/instant.ts'
import {
  decoderFor,
  parseArray,
  INFINITE_FUTURE,
  INFINITE_PAST,
  parseTimestamp,
  textDecoderFor,
  timestampAt,
} from './column-types.ts'

const readArray = (text: string): unknown => parseArray(text, (element) => element)

function outcomeOf(text: string): string {
  try {
    return Array.isArray(readArray(text)) ? 'read' : 'something else'
  } catch (error) {
    return error instanceof RangeError ? 'refused' : String(error)
  }
}

test.each([
  [16, 't'],
  [17, String.raw`\x00ff5c`],
  [20, '-9223372036854775808'],
  [23, '2147483647'],
  [25, 'a "ü" 😀'],
  [701, '-Infinity'],
  [1184, '2026-01-02 03:04:05.000006+00'],
  [1184, 'infinity'],
  [1185, '{"1970-01-01 00:00:01+00",NULL}'],
  [1009, '{"a,b",NULL,""}'],
  [1700, '1.500'],
  [3802, '{"a": 1.0}'],
  [16_999, '(1,2)'],
])('C-6: a value of the type %i is decoded the same from bytes and from the string %s', (oid, text) => {
  const bytes = Buffer.from(text)
  expect(textDecoderFor(oid)(text)).toEqual(decoderFor(oid)(bytes, 0, bytes.length))
})

describe('the parser of arrays', () => {
  test.each([
    ['{}', []],
    ['{1,2}', ['1', '2']],
    ['{NULL,"NULL",null}', [null, 'NULL', 'null']],
    ['{"a,b","c}d","e\\"f","g\\\\h",""}', ['a,b', 'c}d', 'e"f', 'g\\h', '']],
    [
      '{{1,2},{3,4}}',
      [
        ['1', '2'],
        ['3', '4'],
      ],
    ],
    ['[0:1]={7,8}', ['7', '8']],
    ['[-1:0][2:2]={{7},{8}}', [['7'], ['8']]],
    ['{"2026-01-02 03:04:05+00"}', ['2026-01-02 03:04:05+00']],
  ])('C-6: parses %s', (text, expected) => {
    expect(readArray(text)).toEqual(expected)
  })

  test('C-6: round-trips elements with any text', () => {
    const elements = fc.array(fc.option(fc.string({ unit: 'grapheme' })))
    fc.assert(
      fc.property(elements, (items) => {
        const text = items.map((item) => (item === null ? 'NULL' : `"${item.replaceAll(/["\\]/g, String.raw`\$&`)}"`))
        expect(readArray(`{${text.join(',')}}`)).toEqual(items)
      }),
    )
  })

  test.each(['', '{', '{1', '{1,}', '{,1}', '{"a}', '{1}2', '1,2', '{{1}', '{1 "2"}}'])('rejects %j', (text) => {
    expect(() => readArray(text)).toThrow(/not an array/)
  })

  test('parses or rejects any text, without hanging', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('{', '}', '"', ',', '\\', 'a', 'NULL', '[0:1]=') }), (text) => {
        expect(outcomeOf(text)).toMatch(/^(read|refused)$/)
      }),
    )
  })
})

/** Parses from bytes in the middle of a buffer and from text, and checks that both results are equal. */
function readTimestamp(text: string): bigint {
  const buffer = Buffer.from(`9${text}9`, 'latin1')
  const fromBytes = timestampAt(buffer, 1, buffer.length - 1)
  expect(fromBytes).toBe(parseTimestamp(text))
  return fromBytes
}

describe('the parser of timestamptz', () => {
  test.each([
    ['1970-01-01 00:00:00+00', 0n],
    ['1970-01-01 00:00:00.000001+00', 1n],
    ['1969-12-31 23:59:59.999999+00', -1n],
    ['2026-01-02 03:04:05.6+00', 1_767_323_045_600_000n],
    ['2024-02-29 12:00:00+00', 1_709_208_000_000_000n],
    ['2000-01-01 05:30:00+05:30', 946_684_800_000_000n],
    ['1999-12-31 16:00:00-08', 946_684_800_000_000n],
    ['1890-01-01 00:00:00+00:53:28', -2_524_524_808_000_000n],
    ['0001-01-01 00:00:00+00', -62_135_596_800_000_000n],
    ['0001-12-31 00:00:00+00 BC', -62_135_683_200_000_000n],
    ['4714-11-24 00:00:00+00 BC', -210_866_803_200_000_000n],
    ['9999-12-31 23:59:59.999999+00', 253_402_300_799_999_999n],
    ['294276-12-31 23:59:59.999999+00', 9_224_318_015_999_999_999n],
  ])('C-6: parses %s as %d microseconds', (text, micros) => {
    expect(readTimestamp(text)).toBe(micros)
  })

  test('C-6: parses the infinities', () => {
    expect(readTimestamp('infinity')).toBe(INFINITE_FUTURE)
    expect(readTimestamp('-infinity')).toBe(INFINITE_PAST)
  })

  test('C-6: parses every microsecond of four-digit years exactly', () => {
    const instants = fc.bigInt({ min: -62_135_596_800_000_000n, max: 253_402_300_799_999_999n })
    fc.assert(
      fc.property(instants, (instant) => {
        const text = toRfc3339(instant).replace('T', ' ').replace('Z', '+00')
        expect(readTimestamp(text)).toBe(instant)
        expect(readTimestamp(text.replace(/\.?0+\+00$/, '+00'))).toBe(instant)
      }),
    )
  })

  test.each([
    '',
    'yesterday',
    '2026-01-02',
    '2026-01-02 03:04:05',
    '2026-0a-02 03:04:05+00',
    '2026-01-02 03:04:05.x+00',
  ])('rejects %j', (text) => {
    const buffer = Buffer.from(text)
    expect(() => timestampAt(buffer, 0, buffer.length)).toThrow(/not a timestamp/)
  })
})
