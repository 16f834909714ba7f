import { describe, expect, test } from 'vitest'
import type { JsonObject, JsonValue } from './entities.ts'
import { fieldPaths, nested, valueAt, encodedBytes, limitDepth } from './telemetry.ts'

describe('A-5 field paths', () => {
  test('are unique and not inside another path', () => {
    expect(fieldPaths('field_paths', ['a.b', 'c', 'a.b', 'c.d.e', 'cc', 'a.bb'])).toEqual(['a.b', 'c', 'cc', 'a.bb'])
    expect(fieldPaths('field_paths', [])).toEqual([])
  })

  test.each([
    [[''], 'field is required and must not be blank'],
    [['a', ' '], 'field is required and must not be blank'],
    [['a..b'], 'field must be keys joined by single dots such as accelerometer_1.x, not a..b'],
    [['.a'], 'field must be keys joined by single dots'],
    [['a.'], 'field must be keys joined by single dots'],
    [['a`b'], 'field must not contain back quotes or control characters'],
    [['a\nb'], 'field must not contain back quotes or control characters'],
    [['a\0b'], 'field must not contain the NUL character'],
    [['\ud800'], 'half a surrogate pair'],
    [['x'.repeat(257)], 'field is too long: 257 characters, at most 256'],
    [Array.from({ length: 51 }, (_, i) => `f${i}`), 'field: 51 paths are too many: at most 50'],
  ])('%j are rejected', (paths, message) => {
    expect(() => fieldPaths('field', paths)).toThrow(message)
  })
})

describe('values at paths', () => {
  test('build a nested object', () => {
    expect(
      nested([
        ['a.b', 1],
        ['c', [2]],
        ['a.d.e', { f: 3 }],
        ['nothing.here', undefined],
      ]),
    ).toEqual({
      a: { b: 1, d: { e: { f: 3 } } },
      c: [2],
    })
  })

  test('treat names of Object.prototype as ordinary keys', () => {
    const object = nested([
      ['__proto__.x', 1],
      ['constructor', 2],
    ])
    expect(Object.getPrototypeOf(object)).toBe(Object.prototype)
    expect(JSON.stringify(object)).toBe('{"__proto__":{"x":1},"constructor":2}')
    expect(valueAt(object, '__proto__.x')).toBe(1)
    expect(valueAt({}, '__proto__')).toBeUndefined()
    expect(valueAt({}, 'toString.name')).toBeUndefined()
  })

  test('are read by valueAt', () => {
    const data = { a: { b: 1 }, list: [{ x: 1 }], nothing: null }
    expect(valueAt(data, 'a.b')).toBe(1)
    expect(valueAt(data, 'a')).toEqual({ b: 1 })
    expect(valueAt(data, 'nothing')).toBeNull()
    for (const path of ['b', 'a.b.c', 'list.0', 'list.length', 'nothing.x']) expect(valueAt(data, path)).toBeUndefined()
  })
})

function deep(levels: number): JsonObject {
  let value: JsonObject = { end: 1 }
  for (let i = 1; i < levels; i++) value = { in: value }
  return value
}

describe('message limits of clients', () => {
  test.each([deep(1), deep(5), { a: [1, { b: [2] }], c: null, d: 'x', e: true }, {}])('%j stays unchanged', (data) => {
    expect(limitDepth(data, 5)).toEqual(data)
  })

  test('deeper values become JSON text', () => {
    expect(limitDepth(deep(4), 3)).toEqual({ in: { in: { in: '{"end":1}' } } })
    expect(limitDepth({ list: [[[1], 2], 3] }, 3)).toEqual({ list: [['[1]', 2], 3] })
  })

  test('keeps a key named __proto__', () => {
    const data: JsonObject = JSON.parse('{"__proto__":{"x":1}}')
    expect(JSON.stringify(limitDepth(data, 3))).toBe('{"__proto__":{"x":1}}')
  })

  test.each<[JsonValue, number]>([
    [1, 11],
    ['é', 4],
    [Array.from({ length: 1000 }, () => 1), 11_000],
    [{ key: 'value' }, 16],
  ])('the estimate is an upper bound for %j', (value, bytes) => {
    expect(encodedBytes(value)).toBeGreaterThanOrEqual(bytes)
    expect(encodedBytes(value)).toBeLessThan(bytes * 3 + 30)
  })
})
