import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseArray } from './array-text.ts'

const read = (text: string): unknown => parseArray(text, (element) => element)

function outcomeOf(text: string): string {
  try {
    return Array.isArray(read(text)) ? 'read' : 'something else'
  } catch (error) {
    return error instanceof RangeError ? 'refused' : String(error)
  }
}

describe('arrays', () => {
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
  ])('C-6: %s', (text, expected) => {
    expect(read(text)).toEqual(expected)
  })

  test('C-6: elements of any text survive', () => {
    const elements = fc.array(fc.option(fc.string({ unit: 'grapheme' })))
    fc.assert(
      fc.property(elements, (items) => {
        const text = items.map((item) => (item === null ? 'NULL' : `"${item.replaceAll(/["\\]/g, String.raw`\$&`)}"`))
        expect(read(`{${text.join(',')}}`)).toEqual(items)
      }),
    )
  })

  test.each(['', '{', '{1', '{1,}', '{,1}', '{"a}', '{1}2', '1,2', '{{1}', '{1 "2"}}'])(
    'is not read from %j',
    (text) => {
      expect(() => read(text)).toThrow(/not an array/)
    },
  )

  test('any text is read or refused, and never hangs', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('{', '}', '"', ',', '\\', 'a', 'NULL', '[0:1]=') }), (text) => {
        expect(outcomeOf(text)).toMatch(/^(read|refused)$/)
      }),
    )
  })
})
