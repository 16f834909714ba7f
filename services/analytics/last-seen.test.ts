import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { probeLog } from '../../test/rig/adapters/nats-client.ts'
import { LastSeenRecorder } from './last-seen.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Returns a scripted store; `answer` ends a write that hangs. */
function scene(maxDevices = 100) {
  const store = { unavailable: false, hangs: false, answer: () => {} }
  const written: Record<string, bigint>[] = []
  const log = probeLog()
  const recorder = new LastSeenRecorder({
    store: {
      async record(seen) {
        if (store.hangs) await new Promise<void>((resolve) => (store.answer = resolve))
        if (store.unavailable) throw new Error('no connection')
        written.push(Object.fromEntries(seen))
      },
    },
    logger: log.logger,
    maxDevices,
  })
  return { store, written, log, recorder }
}

describe('P-11: the recorder of last-seen times', () => {
  it('writes at most once a second, with the latest time per device', async () => {
    const { recorder, written } = scene()
    recorder.record('a', 5n)
    recorder.record('b', 1n)
    recorder.record('a', 3n)
    await vi.advanceTimersByTimeAsync(999)
    recorder.record('b', 2n)
    expect(written).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(written).toEqual([{ a: 5n, b: 2n }])
    recorder.record('a', 6n)
    await vi.advanceTimersByTimeAsync(999)
    expect(written).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(written).toEqual([{ a: 5n, b: 2n }, { a: 6n }])
  })

  it('has no timer while the buffer is empty', async () => {
    const { recorder } = scene()
    recorder.record('a', 1n)
    await vi.advanceTimersByTimeAsync(1000)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('runs one write at a time; the next write contains the times recorded during a write', async () => {
    const { recorder, store, written } = scene()
    store.hangs = true
    recorder.record('a', 1n)
    await vi.advanceTimersByTimeAsync(1000)
    recorder.record('a', 2n)
    await vi.advanceTimersByTimeAsync(10_000)
    store.hangs = false
    store.answer()
    await vi.advanceTimersByTimeAsync(1000)
    expect(written).toEqual([{ a: 1n }, { a: 2n }])
  })

  it('writes again after an outage of the store, which it logs once', async () => {
    const { recorder, store, written, log } = scene()
    store.unavailable = true
    recorder.record('a', 1n)
    recorder.record('b', 9n)
    await vi.advanceTimersByTimeAsync(3000)
    recorder.record('a', 2n)
    store.unavailable = false
    await vi.advanceTimersByTimeAsync(1000)
    expect(written).toEqual([{ a: 2n, b: 9n }])
    expect(log.count('cannot write last-seen times; retrying')).toBe(1)
    expect(log.count('writing last-seen times again')).toBe(1)
  })

  it('buffers a bounded number of devices and drops the oldest', async () => {
    const { recorder, store, written } = scene(3)
    store.unavailable = true
    for (const id of ['a', 'b', 'c', 'a', 'd']) recorder.record(id, 1n)
    store.unavailable = false
    await vi.advanceTimersByTimeAsync(1000)
    expect(written).toEqual([{ b: 1n, c: 1n, d: 1n }])
  })

  it.each(['on schedule', 'when the service stops'])('writes in batches of 5000, %s', async (when) => {
    const { recorder, written } = scene(20_000)
    for (let index = 0; index < 12_000; index++) recorder.record(`device ${index}`, 1n)
    if (when === 'on schedule') await vi.advanceTimersByTimeAsync(1000)
    else await recorder.close()
    expect(written.map((batch) => Object.keys(batch).length)).toEqual([5000, 5000, 2000])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('writes the buffered times at a stop, or logs that it drops them during an outage', async () => {
    const { recorder, store, log } = scene()
    store.unavailable = true
    recorder.record('a', 1n)
    recorder.record('b', 1n)
    await recorder.close()
    expect(
      log.count('cannot write last-seen times to PostgreSQL before the stop; dropped the last-seen time of 2 devices'),
    ).toBe(1)
  })
})
