import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { probeLog } from '../../test/rig/nats-client.ts'
import { LastSeenRecorder } from './last-seen.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A store that does as the test says; `answer` ends the write that hangs. */
function scene(maxDevices = 100) {
  const store = { away: false, hangs: false, answer: () => {} }
  const written: Record<string, bigint>[] = []
  const log = probeLog()
  const recorder = new LastSeenRecorder({
    store: {
      async record(seen) {
        if (store.hangs) await new Promise<void>((resolve) => (store.answer = resolve))
        if (store.away) throw new Error('not here')
        written.push(Object.fromEntries(seen))
      },
    },
    logger: log.logger,
    maxDevices,
  })
  return { store, written, log, recorder }
}

describe('P-11: when devices were last heard is written down', () => {
  it('once a second at most, each device once, with its latest time', async () => {
    const { recorder, written } = scene()
    recorder.note('a', 5n)
    recorder.note('b', 1n)
    recorder.note('a', 3n)
    await vi.advanceTimersByTimeAsync(999)
    recorder.note('b', 2n)
    expect(written).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(written).toEqual([{ a: 5n, b: 2n }])
    recorder.note('a', 6n)
    await vi.advanceTimersByTimeAsync(999)
    expect(written).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(written).toEqual([{ a: 5n, b: 2n }, { a: 6n }])
  })

  it('leaves nothing running while nothing is heard', async () => {
    const { recorder } = scene()
    recorder.note('a', 1n)
    await vi.advanceTimersByTimeAsync(1000)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('one write at a time, and what is heard meanwhile is in the next', async () => {
    const { recorder, store, written } = scene()
    store.hangs = true
    recorder.note('a', 1n)
    await vi.advanceTimersByTimeAsync(1000)
    recorder.note('a', 2n)
    await vi.advanceTimersByTimeAsync(10_000)
    store.hangs = false
    store.answer()
    await vi.advanceTimersByTimeAsync(1000)
    expect(written).toEqual([{ a: 1n }, { a: 2n }])
  })

  it('is kept and tried again while the store is away, which is said once', async () => {
    const { recorder, store, written, log } = scene()
    store.away = true
    recorder.note('a', 1n)
    recorder.note('b', 9n)
    await vi.advanceTimersByTimeAsync(3000)
    recorder.note('a', 2n)
    expect(recorder.waiting).toBe(2)
    store.away = false
    await vi.advanceTimersByTimeAsync(1000)
    expect(written).toEqual([{ a: 2n, b: 9n }])
    expect(log.count('trying again')).toBe(1)
    expect(log.count('written down again')).toBe(1)
  })

  it('with bounds: the devices that wait longest are left out', async () => {
    const { recorder, store, written } = scene(3)
    store.away = true
    for (const id of ['a', 'b', 'c', 'a', 'd']) recorder.note(id, 1n)
    expect(recorder.waiting).toBe(3)
    store.away = false
    await vi.advanceTimersByTimeAsync(1000)
    expect(written).toEqual([{ b: 1n, c: 1n, d: 1n }])
  })

  it.each(['in its turn', 'when the service stops'])('in parts when there are many, %s', async (when) => {
    const { recorder, written } = scene(20_000)
    for (let index = 0; index < 12_000; index++) recorder.note(`device ${index}`, 1n)
    if (when === 'in its turn') await vi.advanceTimersByTimeAsync(1000)
    else await recorder.close()
    expect(written.map((batch) => Object.keys(batch).length)).toEqual([5000, 5000, 2000])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('says how much is not written down when the service stops while the store is away', async () => {
    const { recorder, store, log } = scene()
    store.away = true
    recorder.note('a', 1n)
    recorder.note('b', 1n)
    await recorder.close()
    expect(log.count('of 2 devices it was not written down')).toBe(1)
  })
})
