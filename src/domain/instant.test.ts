import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { clampInstant, fromRfc3339, toRfc3339 } from './instant.ts'

const at = BigInt(Date.UTC(2026, 0, 2, 3, 4, 5)) * 1000n

describe('RFC 3339', () => {
  test.each([
    ['2026-01-02T03:04:05Z', at],
    ['2026-01-02t03:04:05z', at],
    ['2026-01-02T03:04:05.5Z', at + 500_000n],
    ['2026-01-02T03:04:05.000006Z', at + 6n],
    ['2026-01-02T03:04:05.000006999Z', at + 6n],
    ['2026-01-02T04:34:05+01:30', at],
    ['2026-01-01T22:04:05-05:00', at],
    ['2024-02-29T00:00:00Z', BigInt(Date.UTC(2024, 1, 29)) * 1000n],
    ['1969-12-31T23:59:59.999999Z', -1n],
  ])('the parser accepts %s', (text, instant) => {
    expect(fromRfc3339(text)).toBe(instant)
  })

  test.each([
    '',
    'now',
    '2026-01-02',
    '2026-01-02T03:04:05',
    '2026-01-02 03:04:05Z',
    '2026-02-29T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-01-02T24:00:00Z',
    '2026-01-02T03:04:60Z',
    '2026-01-02T03:04:05+24:00',
    '2026-01-02T03:04:05+01:60',
    '2026-01-02T03:04:05.Z',
    ' 2026-01-02T03:04:05Z',
    '2026-01-02T03:04:05Z\n',
    '20260102T030405Z',
  ])('the parser rejects %j', (text) => {
    expect(fromRfc3339(text)).toBeNull()
  })

  test('round-trips to the microsecond', () => {
    fc.assert(
      fc.property(fc.bigInt(-(10n ** 17n), 3n * 10n ** 17n), (any) => {
        const instant = clampInstant(any)
        expect(fromRfc3339(toRfc3339(instant))).toBe(instant)
      }),
    )
  })
})
