import { describe, expect, test } from 'vitest'
import type { JsonObject } from '../domain/entities.ts'
import { conflictIn } from './json-paths.ts'

function nested(levels: number): JsonObject {
  let value: JsonObject = {}
  for (let level = 1; level < levels; level += 1) value = { a: value }
  return value
}

describe('B-6: JSON that a column of type JSON cannot store', () => {
  test.each<[JsonObject, string | undefined]>([
    [{ 'a.b': 1, a: { b: 2 } }, 'two values at the path a.b'],
    [{ a: { b: 2 }, 'a.b': 1 }, 'two values at the path a.b'],
    [{ 'a.b': { c: 1 }, a: { 'b.c': 2 } }, 'two values at the path a.b.c'],
    [{ 'a.b': [], a: { b: 'text' } }, 'two values at the path a.b'],
    [{ '': { '': 1 }, '.': 2 }, 'two values at the path .'],
    [{ x: [1, [{ 'a.b': 1, a: { b: 2 } }]] }, 'two values at the path a.b'],
    [nested(1001), 'more than 1000 levels'],
    [{ a: 1, 'a.b': 2 }, undefined],
    [{ 'a.b': null, a: { b: 2 } }, undefined],
    [{ 'a.b': {}, a: { b: 2 } }, undefined],
    [{ x: [{ y: 1 }], 'x.y': 2 }, undefined],
    [{ x: [{ 'a.b': 1 }, { a: { b: 2 } }] }, undefined],
    [{ 'a.b': 1, a: { c: 2 } }, undefined],
    [nested(1000), undefined],
    [{}, undefined],
  ])('%j: %s', (data, conflict) => {
    expect(conflictIn(data)).toBe(conflict)
  })
})
