import { expect, it } from 'vitest'
import { createLeaseClock } from './lease-clock.ts'

it('G-13: the clock of leases counts a suspension of the machine, and ignores a wall clock that is set back', () => {
  let [monotonic, wall] = [100, 5000]
  const clock = createLeaseClock(
    () => monotonic,
    () => wall,
  )
  const after = (monotonicMs: number, wallMs: number): number => {
    monotonic += monotonicMs
    wall += wallMs
    return clock()
  }
  expect(after(10, 10)).toBe(10)
  expect(after(0, 60_000)).toBe(60_010)
  expect(after(5, -70_000)).toBe(60_015)
  expect(after(0, 0)).toBe(60_015)
})
