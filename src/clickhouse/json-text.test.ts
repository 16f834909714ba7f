import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toJsonText } from './json-text.ts'

const double = fc.double({ noNaN: true, noDefaultInfinity: true })

describe('W-5: JSON whose numbers stay floating', () => {
  test.each([
    [25, '25.0'],
    [-7, '-7.0'],
    [0, '0.0'],
    [-0, '-0.0'],
    [25.5, '25.5'],
    [1e21, '1e+21'],
    [5e-324, '5e-324'],
    [123456789012345680000, '123456789012345680000.0'],
  ])('%d is written %s', (value, text) => {
    expect(toJsonText(value)).toBe(text)
  })

  test('every number has a fraction or an exponent, and is the same when it is read again', () => {
    fc.assert(
      fc.property(double, (value) => {
        const text = toJsonText(value)
        expect(text).toMatch(/[.e]/)
        expect(JSON.parse(text)).toBe(value)
      }),
    )
  })

  test('nested objects, arrays, nulls, odd keys and strings are what JSON.stringify makes of them', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(toJsonText(JSON.parse(JSON.stringify(value))))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
    expect(toJsonText({ 'a.b': 1, '': [], x: {}, y: [null, true, '2024-01-01'] })).toBe(
      '{"a.b":1.0,"":[],"x":{},"y":[null,true,"2024-01-01"]}',
    )
  })

  test.each([[Number.NaN], [Number.POSITIVE_INFINITY], [Number.NEGATIVE_INFINITY]])('%d is refused', (value) => {
    expect(() => toJsonText({ deep: [value] })).toThrow('is not a JSON number')
  })
})
