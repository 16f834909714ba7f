import { describe, expect, it } from 'vitest'
import { currentThread, Stopwatch, threadTime, timeLeft } from './worker-protocol.ts'

describe('the time of an evaluation (P-3)', () => {
  it.each([
    ['has just begun', 10n, 0n, 90n],
    ['has run all the time', 100n, 100n, 0n],
    ['has hardly run on a busy machine', 100n, 3n, 97n],
    ['has run out of its time at last', 700n, 101n, 0n],
    ['does nothing for ever', 2000n, 3n, 0n],
    ['is on a system that does not tell', 100n, null, 0n],
  ])('one that %s', (_, elapsed, used, expected) => {
    expect(timeLeft({ elapsed, used, limit: 100n })).toBe(expected)
  })

  it('is what its thread has used, not what has passed', () => {
    const time = () => threadTime(currentThread()) ?? 0n
    const before = time()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
    expect(time() - before).toBeLessThan(100_000_000n)
    while (time() - before < 150_000_000n) Math.sqrt(2)
  })

  it('is short by the stopwatch for one that only waited, and long for one that ran', () => {
    const stopwatch = new Stopwatch()
    stopwatch.start()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
    expect(stopwatch.read(10)).toBeLessThan(100)
    const before = threadTime(currentThread()) ?? 0n
    stopwatch.start()
    while ((threadTime(currentThread()) ?? 0n) - before < 30_000_000n) Math.sqrt(2)
    expect(stopwatch.read(10)).toBeGreaterThan(20)
  })

  it('is not known of a thread that is none', () => {
    expect([threadTime(null), threadTime(0)]).toEqual([null, null])
  })
})
