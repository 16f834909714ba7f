import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatLsn, parseLsn } from './change.ts'

const lsns = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })

describe('WAL positions', () => {
  test('are formatted as PostgreSQL formats them', () => {
    expect(formatLsn(0n)).toBe('0/0')
    expect(formatLsn(0x16_b374_d848n)).toBe('16/B374D848')
    expect(formatLsn(2n ** 64n - 1n)).toBe('FFFFFFFF/FFFFFFFF')
  })

  test('round-trip with all 64 bits', () => {
    fc.assert(
      fc.property(lsns, (lsn) => {
        expect(parseLsn(formatLsn(lsn))).toBe(lsn)
      }),
    )
  })

  test.each(['', '0', '0/', '/0', '0/0/0', '0/G', ' 0/0', '123456789/0'])('are rejected as %j', (text) => {
    expect(() => parseLsn(text)).toThrow(/not a WAL position/)
  })
})
