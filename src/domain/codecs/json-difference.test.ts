import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import type { JsonValue } from '../entities.ts'
import { differenceText, jsonDifferences } from './json-difference.ts'

function texts(expected: JsonValue | undefined, got: JsonValue | undefined): readonly string[] {
  return jsonDifferences(expected, got, 'data').map(differenceText)
}

describe('P-13: the difference of two JSON values', () => {
  it.each<[JsonValue | undefined, JsonValue | undefined, readonly string[]]>([
    [{ a: 1, b: [true, null] }, { b: [true, null], a: 1 }, []],
    [{ a: 1 }, { a: '1' }, ['data.a: expected 1, got "1"']],
    [{ a: 1 }, {}, ['data.a: expected 1, got nothing']],
    [{}, { a: null }, ['data.a: expected nothing, got null']],
    [{ a: [1, 2] }, { a: [1] }, ['data.a[1]: expected 2, got nothing']],
    [{ a: [1] }, { a: { 0: 1 } }, ['data.a: expected [1], got {"0":1}']],
    [{ 'a b': { c: 1 } }, { 'a b': { c: 2 } }, ['data["a b"].c: expected 1, got 2']],
    [{ toString: 1 }, {}, ['data.toString: expected 1, got nothing']],
    [{ a: 1, b: 2 }, { a: 2, b: 3 }, ['data.a: expected 1, got 2', 'data.b: expected 2, got 3']],
    ['x'.repeat(300), undefined, [`data: expected "${'x'.repeat(198)}…, got nothing`]],
  ])('of %j and %j is %j', (expected, got, differences) => {
    expect(texts(expected, got)).toEqual(differences)
  })

  it.each([
    [22.6, 22.599999999999998, true],
    [22.6, 22.60001, false],
    [0, 1e-300, false],
    [-1e15, -1e15 - 0.125, true],
    [0, -0, true],
  ])('of the numbers %d and %d: equal is %s', (expected, got, isEqual) => {
    expect(texts(expected, got).length === 0).toBe(isEqual)
  })

  it('is empty for a value and its copy, and for nothing else', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
        const [a, b]: JsonValue[] = JSON.parse(JSON.stringify([one, other]))
        expect(texts(a, structuredClone(a))).toEqual([])
        expect(texts(a, b).length === 0).toBe(texts(b, a).length === 0)
      }),
    )
  })
})
