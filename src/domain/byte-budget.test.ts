import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteBudget } from './byte-budget.ts'

describe('B-2: a byte budget', () => {
  test.each([
    { added: [], bytes: 1000, fits: true, full: false },
    { added: [1000], bytes: 0, fits: false, full: true },
    { added: [0], bytes: 100, fits: true, full: false },
    { added: [1], bytes: 100, fits: false, full: false },
    { added: [60], bytes: 40, fits: true, full: false },
    { added: [60, 40], bytes: 0, fits: false, full: true },
    { added: [1, 1, 1], bytes: 1, fits: false, full: true },
  ])('of 3 items and 100 bytes with $added: $bytes bytes fit: $fits', ({ added, bytes, fits, full }) => {
    const budget = new ByteBudget({ items: 3, bytes: 100 })
    for (const each of added) budget.add(each)
    expect({ fits: budget.fits(bytes), full: budget.isFull }).toEqual({ fits, full })
  })

  test('is exceeded by a single item only, whatever is added and removed', () => {
    const limits = { items: 5, bytes: 100 }
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -3, max: 150 })), (steps) => {
        const budget = new ByteBudget(limits)
        const held: number[] = []
        for (const step of steps) {
          const oldest = step < 0 ? held.shift() : undefined
          if (oldest !== undefined) budget.remove(oldest)
          if (step < 0 || !budget.fits(step)) continue
          budget.add(step)
          held.push(step)
        }
        const bytes = held.reduce((sum, each) => sum + each, 0)
        expect(held.length <= 1 || (held.length <= limits.items && bytes <= limits.bytes)).toBe(true)
        expect(budget.items).toBe(held.length)
        expect(budget.left).toEqual({ items: limits.items - held.length, bytes: Math.max(0, limits.bytes - bytes) })
      }),
    )
  })
})
