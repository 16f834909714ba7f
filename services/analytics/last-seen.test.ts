import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { probeLog } from '../../test/rig/adapters/nats-client.ts'
import type { DeviceActivity } from '../../src/domain/device-activity.ts'
import { LastSeenRecorder } from './last-seen.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Returns a scripted store; `answer` ends a write that hangs. */
function scene(maxDevices = 100) {
  const store = { unavailable: false, hangs: false, answer: () => {} }
  const written: Record<string, bigint>[] = []
  const activities: DeviceActivity[] = []
  const log = probeLog()
  const recorder = new LastSeenRecorder({
    store: {
      async record(seen) {
        if (store.hangs) await new Promise<void>((resolve) => (store.answer = resolve))
        if (store.unavailable) throw new Error('no connection')
        activities.push(...seen.values())
        written.push(Object.fromEntries([...seen].map(([id, { seenAt }]) => [id, seenAt ?? -1n])))
      },
    },
    logger: log.logger,
    maxDevices,
  })
  const record = (endDeviceId: string, receivedAt: bigint, failure?: string): void =>
    recorder.record({ endDeviceId, receivedAt, ...(failure === undefined ? {} : { failure }) })
  return { store, written, activities, log, recorder, record }
}

describe('P-11: the recorder of last-seen times', () => {
  it('writes at most once a second, with the latest time per device', async () => {
    const { record, written } = scene()
    record('a', 5n)
    record('b', 1n)
    record('a', 3n)
    await vi.advanceTimersByTimeAsync(999)
    record('b', 2n)
    expect(written).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(written).toEqual([{ a: 5n, b: 2n }])
    record('a', 6n)
    await vi.advanceTimersByTimeAsync(999)
    expect(written).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(written).toEqual([{ a: 5n, b: 2n }, { a: 6n }])
  })

  it('B-14: is the only place of a time until it is written, and limits the time to that of processing', async () => {
    vi.setSystemTime(9)
    const { record, written } = scene()
    record('behind', 2n)
    record('ahead', 4_000_000n)
    await vi.advanceTimersByTimeAsync(1000)
    expect(written).toEqual([{ behind: 2n, ahead: 9_000n }])
  })

  it('merges payloads that were decoded and that failed, in any order', async () => {
    const { record, activities } = scene()
    const payloads: [bigint, string?][] = [[5n], [7n, 'broken'], [6n, 'older'], [2n]]
    for (const payload of payloads) record('a', ...payload)
    for (const payload of payloads.toReversed()) record('b', ...payload)
    record('c', 1n, 'x'.repeat(400))
    await vi.advanceTimersByTimeAsync(1000)
    const merged = { heardAt: 7n, seenAt: 5n, failure: { at: 7n, reason: 'broken' } }
    const failure = { at: 1n, reason: 'x'.repeat(300) }
    expect(activities).toEqual([merged, merged, { heardAt: 1n, seenAt: null, failure }])
  })

  it('has no timer while the buffer is empty', async () => {
    const { record } = scene()
    record('a', 1n)
    await vi.advanceTimersByTimeAsync(1000)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('runs one write at a time; the next write contains the times recorded during a write', async () => {
    const { record, store, written } = scene()
    store.hangs = true
    record('a', 1n)
    await vi.advanceTimersByTimeAsync(1000)
    record('a', 2n)
    await vi.advanceTimersByTimeAsync(10_000)
    store.hangs = false
    store.answer()
    await vi.advanceTimersByTimeAsync(1000)
    expect(written).toEqual([{ a: 1n }, { a: 2n }])
  })

  it('writes again after an outage of the store, which it logs once', async () => {
    const { record, store, written, log } = scene()
    store.unavailable = true
    record('a', 1n)
    record('b', 9n)
    await vi.advanceTimersByTimeAsync(3000)
    record('a', 2n)
    store.unavailable = false
    await vi.advanceTimersByTimeAsync(1000)
    expect(written).toEqual([{ a: 2n, b: 9n }])
    expect(log.count('cannot write last-seen times; retrying')).toBe(1)
    expect(log.count('writing last-seen times again')).toBe(1)
  })

  it('buffers a bounded number of devices, drops the oldest, and logs how many', async () => {
    const { record, store, written, log } = scene(3)
    store.unavailable = true
    for (const id of ['a', 'b', 'c', 'a', 'd']) record(id, 1n)
    store.unavailable = false
    await vi.advanceTimersByTimeAsync(1000)
    expect(written).toEqual([{ b: 1n, c: 1n, d: 1n }])
    expect(log.count('dropped the last-seen time of 1 devices')).toBe(1)
  })

  it.each(['on schedule', 'when the service stops'])('writes in batches of 5000, %s', async (when) => {
    const { recorder, record, written } = scene(20_000)
    for (let index = 0; index < 12_000; index++) record(`device ${index}`, 1n)
    if (when === 'on schedule') await vi.advanceTimersByTimeAsync(1000)
    else await recorder.close()
    // The time limit of a stop passes without an effect.
    await vi.advanceTimersByTimeAsync(5000)
    expect(written.map((batch) => Object.keys(batch).length)).toEqual([5000, 5000, 2000])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('writes the buffered times at a stop, or logs that it drops them during an outage', async () => {
    const { recorder, record, store, log } = scene()
    store.unavailable = true
    record('a', 1n)
    record('b', 1n)
    await recorder.close()
    expect(
      log.count('cannot write last-seen times to PostgreSQL before the stop; dropped the last-seen time of 2 devices'),
    ).toBe(1)
  })
})
