import { expect, it } from 'vitest'
import { isHeld, type Lease, nextAssignment, nextRenewal } from '../../src/domain/gateway-orchestration/lease.ts'
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

it.each([
  { name: 'is right', jumpMs: 0 },
  { name: 'jumps back by an hour', jumpMs: -3_600_000 },
  { name: 'jumps forward by an hour', jumpMs: 3_600_000 },
])('G-13: a lease is never held longer than its time, and is taken again, if the wall clock $name', ({ jumpMs }) => {
  const ttlMs = 12_000
  const view = { isAssigned: true, isTaken: false }
  let [monotonic, wall] = [0, 1_800_000_000_000]
  const clock = createLeaseClock(
    () => monotonic,
    () => wall,
  )
  const held = (): Lease => ({ state: 'held', revision: 1, renewedAtMs: clock() })
  const before = held()
  wall += jumpMs
  // A jump forward looks like a suspension of the machine, after which another instance may hold the lease.
  expect(nextRenewal(before, clock(), ttlMs)).toBe(jumpMs > 0 ? 'lose' : 'none')
  monotonic += 9_000
  wall += 9_000
  expect(isHeld(before, clock(), ttlMs)).toBe(false)
  expect(nextRenewal(before, clock(), ttlMs)).toBe('lose')
  expect(nextAssignment({ state: 'none' }, view)).toBe('create')
  const after = held()
  monotonic += 4_000
  wall += 4_000
  expect(nextRenewal(after, clock(), ttlMs)).toBe('renew')
})
