import { describe, expect, test } from 'vitest'
import { ReplicationError } from '../../domain/errors.ts'
import { reportOf, retryDelayMs } from './retry.ts'

describe('retryDelayMs', () => {
  test('C-10: doubles from a twentieth up to the maximum', () => {
    const delays = [1, 2, 3, 4, 5, 6, 7].map((attempt) => retryDelayMs(attempt, 10_000, () => 1))
    expect(delays).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000])
  })

  test('C-10: is at most a quarter shorter with the random part', () => {
    expect(retryDelayMs(1, 10_000, () => 0)).toBe(375)
  })
})

describe('reportOf', () => {
  const down = new ReplicationError('connection', 'no answer')
  const lost = new ReplicationError('slot_lost', 'the slot is lost')
  const warning = { level: 'warn', message: 'no answer' }
  const repeated = {
    level: 'error',
    message: 'no answer; failed 3 times in a row; trying again every 10 s without further messages',
  }
  const person = { level: 'error', message: 'the slot is lost; waiting until this is resolved' }

  test.each([
    ['a first failure', down, undefined, 1, warning],
    ['the last failure within the limit', down, down, 2, warning],
    ['the first failure above the limit', down, down, 3, repeated],
    ['a later failure', down, down, 4, null],
    ['a first failure that needs an operator', lost, undefined, 1, person],
    ['a repeated failure that needs an operator', lost, lost, 2, null],
    ['a failure that needs an operator after others', lost, down, 9, person],
  ])('B-17: %s', (_case, failure, previous, failures, expected) => {
    expect(reportOf(failure, { failures, maxAttempts: 2, maxDelayMs: 10_000, previous })).toEqual(expected)
  })
})
