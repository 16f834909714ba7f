import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { resultOf, valueOf } from '../../../../test/rig/adapters/cel-result.ts'

const hexOf = (text: string): string => Buffer.from(text).toString('hex')

describe('P-2: the function json', () => {
  /** Replaces a number whose text is an integer other than its value, as JavaScript writes some beyond 2^53. */
  const exact = (_key: string, value: unknown): unknown =>
    typeof value === 'number' && /^-?\d{16,}$/.test(`${value}`) && BigInt(value) !== BigInt(`${value}`)
      ? `${value}`
      : value

  it('returns the value of any JSON text', () => {
    fc.assert(
      fc.property(fc.jsonValue({ depthSize: 'small', maxDepth: 5 }), (value) => {
        const text = JSON.stringify(value)
        const expected = JSON.stringify(JSON.parse(text), exact)
        expect(JSON.stringify(valueOf('json(string(input))', hexOf(text)))).toBe(expected)
      }),
    )
  })

  it('reads fields of a JSON payload', () => {
    const payload = hexOf('{"temp": 21.5, "list": [1, {"a": true}], "__proto__": null}')
    expect(resultOf('json(string(input))', payload)).toEqual(
      JSON.parse('{"temp": 21.5, "list": [1, {"a": true}], "__proto__": null}'),
    )
    expect(valueOf('json(string(input)).temp * 2.0', payload)).toBe(43)
    expect(valueOf('has(json(string(input)).humidity)', payload)).toBe(false)
  })

  it.each([
    ['9007199254740993', '9007199254740993'],
    ['-9007199254740993', '-9007199254740993'],
    ['9007199254740994', 9007199254740994],
    ['[1.1234567890123456789, 12345678901234567890e1]', [1.1234567890123457, 1.2345678901234568e20]],
    [
      '{"9007199254740993": "\\"9007199254740993", "b": [9007199254740993]}',
      { '9007199254740993': '"9007199254740993', b: ['9007199254740993'] },
    ],
  ])('keeps the digits of integers beyond 2^53: %s', (text, value) => {
    expect(valueOf('json(string(input))', hexOf(text))).toEqual(value)
  })

  it.each(['', '{', '{9007199254740993: 1}', "{'a': 1}", 'NaN', '01', '9007199254740993 1'])('rejects %j', (text) => {
    expect(valueOf('json(string(input))', hexOf(text))).toEqual(expect.stringContaining('json: the text is not JSON: '))
  })

  it('rejects JSON that is nested deeper than 100 levels', () => {
    expect(valueOf('json(string(input))', hexOf('['.repeat(50_000) + ']'.repeat(50_000)))).toContain(
      'nested deeper than 100 levels',
    )
  })
})
