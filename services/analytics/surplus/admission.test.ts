import { describe, expect, test } from 'vitest'
import { Admission, ACTIVE_MS } from './admission.ts'

const SMALL = 100
const LARGE = 65 * 1024

/** Returns an admission of 100 envelopes, and the number that it admits of an organization. */
function scene(wasShared: boolean) {
  const clock = { ms: 0 }
  const admission = new Admission({ limits: { items: 100, bytes: 1e9 }, wasShared, now: () => clock.ms })
  const admitted = (organization: string, count: number, bytes = SMALL): number =>
    Array.from({ length: count }, () => admission.admit(organization, bytes)).filter(Boolean).length
  return { admission, admitted, clock }
}

describe('B-3: of the envelopes of an organization', () => {
  test.each([
    { active: 'one', wasShared: false, pending: 0, admitted: 300 },
    { active: 'one', wasShared: false, pending: 1000, admitted: 300 },
    { active: 'several', wasShared: true, pending: 999, admitted: 50 },
    { active: 'several', wasShared: true, pending: 1000, admitted: 8 },
  ])('$admitted are in progress if $active is active and $pending messages are not read', (row) => {
    const { admission, admitted } = scene(row.wasShared)
    admission.pending = row.pending
    expect(admitted('busy', 300)).toBe(row.admitted)
    expect(admission.isBehind).toBe(row.pending === 1000)
  })

  test('further ones are admitted when earlier ones are released', () => {
    const { admission, admitted } = scene(true)
    expect(admitted('busy', 100)).toBe(50)
    for (let count = 0; count < 20; count += 1) admission.release('busy', SMALL)
    expect(admitted('busy', 100)).toBe(20)
  })

  test('one is always in progress, whatever others have in progress', () => {
    const { admitted } = scene(false)
    expect(admitted('busy', 300)).toBe(300)
    expect(admitted('quiet', 300)).toBe(1)
  })

  test('those that are too large to be set aside are in progress', () => {
    const { admitted } = scene(true)
    expect(admitted('busy', 100, LARGE)).toBe(100)
  })

  test('all are in progress an hour after the last envelope of another one', () => {
    const { admitted, clock } = scene(false)
    admitted('quiet', 1)
    expect(admitted('busy', 200)).toBe(50)
    clock.ms += ACTIVE_MS
    expect(admitted('busy', 200)).toBe(200)
  })
})

describe('B-3: a further batch waits', () => {
  const never = new AbortController().signal

  test('until fewer envelopes are in progress than the limits allow', async () => {
    const { admission, admitted } = scene(false)
    admitted('busy', 101)
    const events: string[] = []
    const room = admission.untilRoom(never).then(() => events.push('room'))
    admission.release('busy', SMALL)
    await Promise.resolve()
    events.push('100 in progress')
    admission.release('busy', SMALL)
    await room
    expect(events).toEqual(['100 in progress', 'room'])
    await admission.untilRoom(never)
  })

  test('no longer when the service stops', async () => {
    const { admission, admitted } = scene(false)
    admitted('busy', 100)
    const stop = new AbortController()
    const room = admission.untilRoom(stop.signal)
    stop.abort()
    await expect(room).resolves.toBeUndefined()
    await expect(admission.untilRoom(stop.signal)).resolves.toBeUndefined()
  })
})
