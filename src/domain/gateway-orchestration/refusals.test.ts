import { expect, test } from 'vitest'
import { type RefusalReason, Refusals } from './refusals.ts'

test.each<{ title: string; records: readonly (readonly [RefusalReason, number, number])[] }>([
  {
    title: 'the first one, then the number of those since the last report once a minute',
    records: [
      ['invalid_uplink', 0, 1],
      ['invalid_uplink', 1, 0],
      ['unknown_device', 59_999, 0],
      ['not_publishable', 60_000, 3],
      ['invalid_uplink', 119_999, 0],
      ['invalid_uplink', 300_000, 2],
    ],
  },
  {
    title: 'a wrong topic once, also among others',
    records: [
      ['unknown_device', 0, 1],
      ['invalid_topic', 1, 0],
      ['invalid_topic', 60_000, 2],
      ['invalid_topic', 120_000, 0],
      ['unknown_device', 120_000, 2],
      ['invalid_topic', 600_000, 0],
    ],
  },
])('G-17: reports $title', ({ records }) => {
  const refusals = new Refusals()
  expect(records.map(([reason, atMs]) => refusals.record(reason, atMs))).toEqual(records.map(([, , count]) => count))
})

test('G-17: counts messages by reason', () => {
  const refusals = new Refusals()
  for (const reason of ['invalid_topic', 'unknown_device', 'invalid_topic'] as const) refusals.record(reason, 0)
  expect(refusals.counts).toEqual({ invalid_topic: 2, unknown_device: 1 })
})
