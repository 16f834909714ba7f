import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FairQueue } from './fair-queue.ts'

function drain<T>(queue: FairQueue<T>): T[] {
  const items: T[] = []
  for (let item = queue.take(); item !== undefined; item = queue.take()) items.push(item)
  return items
}

describe('P-3: devices take turns', () => {
  it('serves a key with one item right after one of a key with thousands', () => {
    const queue = new FairQueue<string>()
    for (let index = 0; index < 5000; index++) queue.push('loud', `loud ${index}`)
    queue.push('still', 'still 0')
    expect([queue.take(), queue.take(), queue.take()]).toEqual(['loud 0', 'still 0', 'loud 1'])
  })

  it('gives all items of a key away at once, and the turns of the others stay', () => {
    const queue = new FairQueue<string>()
    for (const item of ['a0', 'b0', 'c0', 'b1', 'a1']) queue.push(item.charAt(0), item)
    expect(queue.take()).toBe('a0')
    expect(queue.remove('b')).toEqual(['b0', 'b1'])
    expect(queue.remove('b')).toEqual([])
    queue.push('b', 'b2')
    expect(queue.size).toBe(3)
    expect(drain(queue)).toEqual(['c0', 'a1', 'b2'])
  })

  it('keeps the order within a key, loses nothing, and lets no key wait longer than one round', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 200 }), (keys) => {
        const queue = new FairQueue<{ key: number; index: number }>()
        keys.forEach((key, index) => queue.push(String(key), { key, index }))
        expect(queue.size).toBe(keys.length)
        const served = drain(queue)
        for (const key of new Set(keys)) {
          const expected = [...keys.entries()].filter(([, other]) => other === key).map(([index]) => index)
          expect(served.filter((item) => item.key === key).map((item) => item.index)).toEqual(expected)
          expect(served.findIndex((item) => item.key === key)).toBeLessThan(new Set(keys).size)
        }
        expect(queue.size).toBe(0)
      }),
    )
  })

  it('takes items back to the front of their line', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 600 }), fc.nat(600), (count, taken) => {
        const queue = new FairQueue<number>()
        for (let index = 0; index < count; index++) queue.push('key', index)
        const back = Array.from({ length: Math.min(taken, count) }, () => queue.take() ?? -1)
        for (const item of back.toReversed()) queue.unshift('key', item)
        expect(queue.sizeOf('key')).toBe(count)
        expect(drain(queue)).toEqual(Array.from({ length: count }, (_, index) => index))
        expect(queue.sizeOf('key')).toBe(0)
      }),
    )
  })
})
