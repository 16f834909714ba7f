import { describe, expect, test } from 'vitest'
import { toRowText } from './envelope-text.ts'

const instant = 1_767_323_045_000_006n
const envelope = { organizationId: 'org', endDeviceId: 'dev"ice', occurredAt: instant, processedAt: instant, data: {} }

describe('W-5: a row of processed envelopes', () => {
  test('is one line of JSON with microseconds', () => {
    expect(toRowText({ envelope: { ...envelope, data: { t: 25 } }, identity: 'raw_envelopes:7' })).toBe(
      '{"organization_id":"org","end_device_id":"dev\\"ice","occurred_at":"2026-01-02 03:04:05.000006",' +
        '"processed_at":"2026-01-02 03:04:05.000006","identity":"raw_envelopes:7","data":{"t":25.0}}\n',
    )
  })

  test.each([
    ['before 1900', BigInt(Date.UTC(1899, 11, 31)) * 1000n],
    ['after 2299', BigInt(Date.UTC(2300, 0, 1)) * 1000n],
    ['beyond every calendar', 10n ** 30n],
  ])('a time %s is refused, not bent', (_when, occurredAt) => {
    expect(() => toRowText({ envelope: { ...envelope, occurredAt }, identity: 'x' })).toThrow(/^occurred_at is outside/)
  })
})
