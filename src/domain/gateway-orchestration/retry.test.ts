import { describe, expect, it } from 'vitest'
import { isFailing, retryDelayMs } from './retry.ts'

describe('retryDelayMs', () => {
  it.each([
    { failures: 1, random: 0, delay: 10_000 },
    { failures: 1, random: 1, delay: 10_000 },
    { failures: 2, random: 0, delay: 10_000 },
    { failures: 2, random: 1, delay: 20_000 },
    { failures: 3, random: 0, delay: 20_000 },
    { failures: 3, random: 1, delay: 40_000 },
    { failures: 4, random: 0, delay: 30_000 },
    { failures: 4, random: 1, delay: 60_000 },
    { failures: 1e6, random: 1, delay: 60_000 },
  ])('G-9: is $delay ms after $failures failures with the random number $random', ({ failures, random, delay }) => {
    expect(retryDelayMs(failures, 10_000, random)).toBe(delay)
  })

  it('G-9: stays the first delay if that is longer than a minute', () => {
    expect([1, 2, 9].map((failures) => retryDelayMs(failures, 90_000, 1))).toEqual([90_000, 90_000, 90_000])
  })
})

describe('isFailing', () => {
  it('G-9: is true after more failures than retries are allowed', () => {
    const policy = { delayMs: 1, maxAttempts: 3, stopsWhenFailing: false }
    expect([3, 4].map((failures) => isFailing(failures, policy))).toEqual([false, true])
  })
})
