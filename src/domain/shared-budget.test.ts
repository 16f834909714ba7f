import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SharedBudget } from './shared-budget.ts'

describe('B-3: a shared budget', () => {
  test.each([
    { owners: 1, each: 50 },
    { owners: 2, each: 33 },
    { owners: 3, each: 25 },
    { owners: 9, each: 10 },
  ])('of 100 items gives $owners owners about $each each', ({ owners, each }) => {
    const budget = new SharedBudget<number>({ items: 100, bytes: 1_000_000 })
    for (let turn = 0; turn < 100; turn += 1)
      for (let owner = 0; owner < owners; owner += 1) if (budget.fits(owner, 1)) budget.add(owner, 1)
    for (let owner = 0; owner < owners; owner += 1) {
      expect(budget.itemsOf(owner)).toBeGreaterThanOrEqual(each - 1)
      expect(budget.itemsOf(owner)).toBeLessThanOrEqual(each + 1)
    }
    expect(budget.fits(-1, 1)).toBe(true)
  })

  test('also shares the bytes', () => {
    const budget = new SharedBudget<string>({ items: 1000, bytes: 100 })
    for (let count = 0; count < 100; count += 1) if (budget.fits('large', 10)) budget.add('large', 10)
    expect(budget.itemsOf('large')).toBe(5)
    expect([budget.fits('large', 10), budget.fits('small', 10)]).toEqual([false, true])
  })

  test('never exceeds its limits, and is empty when everything is removed', () => {
    const step = fc.record({ owner: fc.integer({ min: 0, max: 3 }), bytes: fc.integer({ min: 0, max: 60 }) })
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const budget = new SharedBudget<number>({ items: 5, bytes: 100 })
        const held = steps.filter(({ owner, bytes }) => {
          if (!budget.fits(owner, bytes)) return false
          budget.add(owner, bytes)
          return true
        })
        expect(held.length).toBeLessThanOrEqual(5)
        expect(held.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(100)
        for (const { owner, bytes } of held) budget.remove(owner, bytes)
        expect(budget.isEmpty).toBe(true)
        expect(budget.itemsOf(0)).toBe(0)
      }),
    )
  })
})
