import { describe, expect, it } from 'vitest'
import { timeLeft } from './evaluation-worker.ts'
import { currentThread, Stopwatch, threadTime } from './worker-protocol.ts'

describe('P-3: the time limit of an evaluation', () => {
  it.each([
    ['has just started', 10n, 0n, 90n],
    ['used the processor all the time', 100n, 100n, 0n],
    ['hardly ran on a busy machine', 100n, 3n, 97n],
    ['used up its processor time', 700n, 101n, 0n],
    ['was starved for 20 time limits', 2000n, 3n, 97n],
    ['exceeds 240 time limits by the clock', 24_000n, 3n, 0n],
    ['runs where processor time is unknown', 100n, null, 0n],
  ])('timeLeft returns the remaining time of an evaluation that %s', (_, elapsed, used, expected) => {
    expect(timeLeft({ elapsed, used, limit: 100n })).toBe(expected)
  })

  it('threadTime counts processor time, not elapsed time', () => {
    const time = () => threadTime(currentThread()) ?? 0n
    const before = time()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
    expect(time() - before).toBeLessThan(100_000_000n)
    while (time() - before < 150_000_000n) Math.sqrt(2)
  })

  it('the stopwatch reports the processor time of a slow evaluation', () => {
    const stopwatch = new Stopwatch()
    stopwatch.start()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
    expect(stopwatch.read(10)).toBeLessThan(100)
    const before = threadTime(currentThread()) ?? 0n
    stopwatch.start()
    while ((threadTime(currentThread()) ?? 0n) - before < 30_000_000n) Math.sqrt(2)
    expect(stopwatch.read(10)).toBeGreaterThan(20)
  })

  it('threadTime returns null for a thread that does not exist', () => {
    expect([threadTime(null), threadTime(0)]).toEqual([null, null])
  })
})
