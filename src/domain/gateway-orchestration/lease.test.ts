import { describe, expect, it } from 'vitest'
import { isHeld, nextAssignment, nextRenewal, type Lease } from './lease.ts'

const TTL = 12_000
const held: Lease = { state: 'held', revision: 7, renewedAtMs: 1000 }
const releasing: Lease = { ...held, state: 'releasing' }
const deleting: Lease = { state: 'deleting', revision: 7 }
const views = {
  unassigned: { isAssigned: false, isTaken: true },
  free: { isAssigned: true, isTaken: false },
  taken: { isAssigned: true, isTaken: true },
}

describe('nextAssignment', () => {
  it.each([
    { name: 'none', lease: { state: 'none' }, actions: ['none', 'create', 'none'] },
    { name: 'uncertain', lease: { state: 'uncertain' }, actions: ['none', 'create', 'create'] },
    { name: 'held', lease: held, actions: ['release', 'none', 'none'] },
    { name: 'releasing', lease: releasing, actions: ['none', 'none', 'none'] },
    { name: 'deleting', lease: deleting, actions: ['none', 'none', 'none'] },
  ] as const)('G-13: of a lease that is $name is $actions', ({ lease, actions }) => {
    expect([views.unassigned, views.free, views.taken].map((view) => nextAssignment(lease, view))).toEqual(actions)
  })
})

describe('nextRenewal', () => {
  it.each([held, releasing])(
    'G-13: renews a lease that is $state from a sixth of its time on, and loses it at its deadline',
    (lease) => {
      const found = [2_999, 3_000, 9_999, 10_000].map((at) => nextRenewal(lease, at, TTL))
      expect(found).toEqual(['none', 'renew', 'renew', 'lose'])
    },
  )

  it('G-13: renews no other lease', () => {
    const leases = [{ state: 'none' }, { state: 'uncertain' }, deleting] as const
    expect(leases.map((lease) => nextRenewal(lease, 0, TTL))).toEqual(['none', 'none', 'none'])
  })
})

describe('isHeld', () => {
  it('G-13: is true until three quarters of the time after the last renewal, before the lease can expire', () => {
    for (const lease of [held, releasing])
      expect([1000, 9_999, 10_000, 50_000].map((now) => isHeld(lease, now, TTL))).toEqual([true, true, false, false])
    expect(isHeld({ state: 'uncertain' }, 0, TTL)).toBe(false)
    expect(isHeld(deleting, 0, TTL)).toBe(false)
  })
})
