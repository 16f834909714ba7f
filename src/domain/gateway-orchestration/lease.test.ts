import { describe, expect, it } from 'vitest'
import { isHeld, nextAction, type Lease } from './lease.ts'

const TTL = 12_000
const held: Lease = { state: 'held', revision: 7, renewedAtMs: 1000 }
const views = {
  unassigned: { isAssigned: false, isTaken: true },
  free: { isAssigned: true, isTaken: false },
  taken: { isAssigned: true, isTaken: true },
}

describe('nextAction', () => {
  it.each([
    { name: 'none', lease: { state: 'none' }, at: 0, actions: ['none', 'create', 'none'] },
    { name: 'uncertain', lease: { state: 'uncertain' }, at: 0, actions: ['none', 'create', 'create'] },
    { name: 'held', lease: held, at: 4_999, actions: ['release', 'none', 'none'] },
    { name: 'held, due after a third', lease: held, at: 5_000, actions: ['release', 'renew', 'renew'] },
    { name: 'held, shortly before its deadline', lease: held, at: 9_999, actions: ['release', 'renew', 'renew'] },
    { name: 'held, past its deadline', lease: held, at: 10_000, actions: ['lose', 'lose', 'lose'] },
    { name: 'releasing', lease: { state: 'releasing', revision: 7 }, at: 0, actions: ['none', 'none', 'none'] },
  ] as const)('G-13: of a lease that is $name is $actions', ({ lease, at, actions }) => {
    const found = [views.unassigned, views.free, views.taken].map((view) => nextAction(lease, view, at, TTL))
    expect(found).toEqual(actions)
  })
})

describe('isHeld', () => {
  it('G-13: is true until three quarters of the time after the last renewal, before the lease can expire', () => {
    expect([1000, 9_999, 10_000, 50_000].map((now) => isHeld(held, now, TTL))).toEqual([true, true, false, false])
    expect(isHeld({ state: 'uncertain' }, 0, TTL)).toBe(false)
    expect(isHeld({ state: 'releasing', revision: 7 }, 0, TTL)).toBe(false)
  })
})
