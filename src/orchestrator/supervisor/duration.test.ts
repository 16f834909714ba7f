import { describe, expect, it } from 'vitest'
import { formatDuration } from './duration.ts'

describe('formatDuration (O-32)', () => {
  it.each([
    [0, '0 ms'],
    [0.4, '0 ms'],
    [230.6, '231 ms'],
    [999.4, '999 ms'],
    [999.9, '1 s'],
    [1000, '1 s'],
    [3249, '3.2 s'],
    [59_940, '59.9 s'],
    [59_960, '1 min'],
    [125_400, '2 min 5 s'],
    [3_599_900, '1 h'],
    [3_600_000, '1 h'],
    [11_100_000, '3 h 5 min'],
    [86_400_000 * 40 + 3_600_000 * 4, '40 d 4 h'],
  ])('formats %d ms as %s', (ms, expected) => expect(formatDuration(ms)).toBe(expected))
})
