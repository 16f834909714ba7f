import { describe, expect, test } from 'vitest'
import type { JsonObject, JsonValue } from './gateway.ts'
import { encodedBytes, withDepth } from './telemetry-size.ts'

function deep(levels: number): JsonObject {
  let value: JsonObject = { end: 1 }
  for (let i = 1; i < levels; i++) value = { in: value }
  return value
}

describe('what clients can take', () => {
  test.each([deep(1), deep(5), { a: [1, { b: [2] }], c: null, d: 'x', e: true }, {}])('%j is not too deep', (data) => {
    expect(withDepth(data, 5)).toEqual(data)
  })

  test('what is deeper is JSON text', () => {
    expect(withDepth(deep(4), 3)).toEqual({ in: { in: { in: '{"end":1}' } } })
    expect(withDepth({ list: [[[1], 2], 3] }, 3)).toEqual({ list: [['[1]', 2], 3] })
  })

  test('a key that is called __proto__ stays one', () => {
    const data: JsonObject = JSON.parse('{"__proto__":{"x":1}}')
    expect(JSON.stringify(withDepth(data, 3))).toBe('{"__proto__":{"x":1}}')
  })

  test.each<[JsonValue, number]>([
    [1, 11],
    ['é', 4],
    [Array.from({ length: 1000 }, () => 1), 11_000],
    [{ key: 'value' }, 16],
  ])('%j takes no more than is reckoned', (value, bytes) => {
    expect(encodedBytes(value)).toBeGreaterThanOrEqual(bytes)
    expect(encodedBytes(value)).toBeLessThan(bytes * 3 + 30)
  })
})
