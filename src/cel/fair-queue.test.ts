import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FairQueue } from './fair-queue.ts'

function drain<T>(queue: FairQueue<T>): T[] {
  const items: T[] = []
  for (let item = queue.take(); item !== undefined; item = queue.take()) items.push(item)
  return items
}

describe('P-3: the fair queue of devices', () => {
  it('serves a key with one item right after one item of a key with thousands', () => {
    const queue = new FairQueue<string>()
    for (let index = 0; index < 5000; index++) queue.push('busy', `busy ${index}`)
    queue.push('idle', 'idle 0')
    expect([queue.take(), queue.take(), queue.take()]).toEqual(['busy 0', 'idle 0', 'busy 1'])
  })

  it('removes all items of a key and keeps the turns of the other keys', () => {
    const queue = new FairQueue<string>()
    for (const item of ['a0', 'b0', 'c0', 'b1', 'a1']) queue.push(item.charAt(0), item)
    expect(queue.take()).toBe('a0')
    expect(queue.remove('b')).toEqual(['b0', 'b1'])
    expect(queue.remove('b')).toEqual([])
    queue.push('b', 'b2')
    expect(queue.size).toBe(3)
    expect(drain(queue)).toEqual(['c0', 'a1', 'b2'])
  })

  it('keeps the order within a key, loses no item and serves every key within one round', () => {
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

  it('returns items to the front of their queue', () => {
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
