import { describe, expect, test } from 'vitest'
import { probeLog } from '../../test/rig/adapters/nats-client.ts'
import { DeadLetterQuota, isStored } from './dead-letter-quota.ts'

describe('B-5: the quota of dead letters', () => {
  test.each([
    [1, 10, true],
    [10, 10, true],
    [11, 10, false],
    [1009, 10, false],
    [1010, 10, true],
    [1011, 10, false],
    [2010, 10, true],
    [1_000_000, 0, true],
  ])('decides about dead letter %d of an hour with a quota of %d: %s', (number, quota, stored) => {
    expect(isStored(number, quota)).toBe(stored)
  })

  test('is separate for each organization, and begins again after an hour', () => {
    const quota = new DeadLetterQuota(2, probeLog().logger)
    const admitted = (organization?: string) => [1, 2, 3].map(() => quota.admit(organization, 'test'))
    expect([admitted('a'), admitted('b'), admitted()]).toEqual(Array.from({ length: 3 }, () => [true, true, false]))
    quota.endHour()
    expect(admitted('a')).toEqual([true, true, false])
  })

  test('logs one line per organization and hour, with the number of dropped dead letters', () => {
    const log = probeLog()
    const quota = new DeadLetterQuota(1, log.logger)
    for (let number = 0; number < 2002; number++) quota.admit('a', 'test')
    quota.admit('b', 'test')
    quota.endHour()
    quota.endHour()
    expect(log.lines).toMatchObject([{ organization_id: 'a', failed: 2002, dropped: 1999 }])
  })

  test('remembers the 10,000 organizations that failed last', () => {
    const log = probeLog()
    const quota = new DeadLetterQuota(1, log.logger)
    const failTwice = (organization: string) => [quota.admit(organization, 'test'), quota.admit(organization, 'test')]
    failTwice('first')
    failTwice('second')
    for (let number = 0; number < 9_998; number++) quota.admit(`other ${number}`, 'test')
    expect(quota.admit('first', 'test')).toBe(false)
    expect(log.lines).toEqual([])
    quota.admit('another', 'test')
    expect(log.lines).toMatchObject([{ organization_id: 'second', dropped: 1 }])
    expect([quota.admit('first', 'test'), quota.admit('second', 'test')]).toEqual([false, true])
  })
})
