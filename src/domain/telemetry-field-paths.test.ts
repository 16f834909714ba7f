import { describe, expect, test } from 'vitest'
import { fieldPaths, nested, valueAt } from './telemetry-field-paths.ts'

describe('A-5 paths of fields', () => {
  test('each once, and none within another', () => {
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
  ])('%j are refused', (paths, message) => {
    expect(() => fieldPaths('field', paths)).toThrow(message)
  })
})

describe('values at paths', () => {
  test('make the object that has them there', () => {
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

  test('a key that is called as something of every object is a key', () => {
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

  test('are found again', () => {
    const data = { a: { b: 1 }, list: [{ x: 1 }], nothing: null }
    expect(valueAt(data, 'a.b')).toBe(1)
    expect(valueAt(data, 'a')).toEqual({ b: 1 })
    expect(valueAt(data, 'nothing')).toBeNull()
    for (const path of ['b', 'a.b.c', 'list.0', 'list.length', 'nothing.x']) expect(valueAt(data, path)).toBeUndefined()
  })
})
