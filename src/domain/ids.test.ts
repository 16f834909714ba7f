import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createIdGenerator } from './ids.ts'

test('W-4 xid() generates the published example', () => {
  // https://github.com/rs/xid: 9m4e2mr0ui3e8a215n4g is 4d88e15b 60f486e428 412dc9.
  const random = [Uint8Array.of(0x60, 0xf4, 0x86, 0xe4, 0x28), Uint8Array.of(0x41, 0x2d, 0xc9)]
  const newId = createIdGenerator({
    now: () => 0x4d_88_e1_5b * 1000,
    random: () => random.shift() ?? new Uint8Array(3),
  })
  expect(newId()).toBe('9m4e2mr0ui3e8a215n4g')
})

test('W-4 ids of one generator are unique and sort by creation, even when the clock steps back', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -3000, max: 3000 }), { minLength: 2, maxLength: 200 }), (steps) => {
      let clock = 1_700_000_000_000
      const newId = createIdGenerator({ now: () => clock, random: (length) => new Uint8Array(length).fill(0xff) })
      const ids = steps.map((step) => {
        clock += step
        return newId()
      })
      expect(ids).toEqual([...new Set(ids)].sort())
    }),
  )
})

test('W-4 a counter that overflows advances to the next second', () => {
  const random = [new Uint8Array(5), Uint8Array.of(0xff, 0xff, 0xff), Uint8Array.of(0, 0, 7)]
  const newId = createIdGenerator({ now: () => 1000, random: () => random.shift() ?? new Uint8Array(3) })
  expect([newId(), newId()]).toEqual(['000000800000007vvvvg', '000000g000000000003g'])
})
