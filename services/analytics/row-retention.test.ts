import { expect, test } from 'vitest'
import type { Instant } from '../../src/domain/instant.ts'
import type { RetentionGroup } from '../../src/domain/ports.ts'
import { probeLog } from '../../test/rig/adapters/nats-client.ts'
import { enforceRetention, expiryTime } from './row-retention.ts'

const instant = (text: string): Instant => BigInt(Date.parse(text)) * 1000n
const NOW = instant('2026-03-31T13:14:15Z')

test('P-14 rows expire at the start of a day', () => {
  const expected = instant('2026-03-01T00:00:00Z')
  expect(expiryTime(NOW, 30)).toBe(expected)
  expect(expiryTime(instant('2026-03-31T00:00:00Z'), 30)).toBe(expected)
  expect(expiryTime(instant('2026-03-30T23:59:59.999Z'), 30)).toBe(instant('2026-02-28T00:00:00Z'))
})

test('P-14 a failure is logged, the next attempt follows, and it deletes the rows of every group', async () => {
  const groups: readonly RetentionGroup[] = [
    { days: 1, organizationIds: ['a', 'b'] },
    { days: 30, organizationIds: ['c'] },
  ]
  const asked: unknown[] = []
  let failures = 1
  const log = probeLog()
  const stopping = new AbortController()
  const parts = {
    organizations: {
      async *retentions() {
        if (failures-- > 0) throw new Error('no connection')
        yield* groups
      },
    },
    expiredRows: {
      async *delete(selection: unknown) {
        asked.push(selection)
        yield 2
        yield 3
      },
    },
    now: () => NOW,
    logger: log.logger,
  }
  const running = enforceRetention(parts, stopping.signal, { afterSuccessMs: 3_600_000, afterFailureMs: 1 })
  await log.line('deleted 10 rows')
  stopping.abort()
  await running
  expect(await log.line('cannot delete expired rows')).toMatchObject({ msg: expect.stringContaining('no connection') })
  expect(asked).toEqual([
    { organizationIds: ['a', 'b'], before: instant('2026-03-30T00:00:00Z') },
    { organizationIds: ['c'], before: instant('2026-03-01T00:00:00Z') },
  ])
})
