import { getEventListeners } from 'node:events'
import * as fc from 'fast-check'
import { expect, test, describe } from 'vitest'
import { probeOf } from '../../../../test/rig/orchestrator/supervised-graph.ts'
import { afterResult, NOT_PROBED, poll, type Check, type ProbeRecord } from './poll.ts'

const statesAfter = (results: readonly boolean[], successThreshold: number, failureThreshold: number) => {
  let state = NOT_PROBED
  return results.map(
    (succeeded) => (state = afterResult(state, succeeded ? null : 'no', { successThreshold, failureThreshold })),
  )
}

test('a process is ready after enough consecutive successes, and not ready after enough consecutive failures', () => {
  const results = [true, false, true, true, false, false, true, false, false, false, true]
  const ready = statesAfter(results, 2, 3).map((state) => state.ready)
  expect(ready).toEqual([false, false, false, true, true, true, true, true, true, false, false])
})

test('the readiness changes only when the last results, as many as the threshold, are equal', () => {
  const threshold = fc.integer({ min: 1, max: 4 })
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 40 }), threshold, threshold, (results, up, down) => {
      const states = statesAfter(results, up, down)
      states.forEach((state, index) => {
        const before = states[index - 1] ?? NOT_PROBED
        if (state.ready === before.ready) return
        const lastOnes = results.slice(0, index + 1).slice(state.ready ? -up : -down)
        expect(lastOnes).toEqual(Array.from({ length: state.ready ? up : down }, () => state.ready))
      })
    }),
  )
})

test('the state records that the process was ready once', () => {
  const last = statesAfter([true, false, false], 1, 1).at(-1)
  expect(last).toMatchObject({ ready: false, everReady: true })
})

const probe = (over: object = {}) =>
  probeOf({ type: 'notify' }, { periodMs: { beforeReady: 200, afterReady: 5000 }, ...over })

/** Polls with the given results on a clock that only waits advance. */
async function polled(results: readonly (true | string)[], settings: object = {}, checkTakesMs = 0) {
  const over = new AbortController()
  const happened: string[] = []
  const waits: number[] = []
  let now = 0
  const left = [...results]
  const check: Check = async () => {
    now += checkTakesMs
    const result = left.shift()
    if (left.length === 0) queueMicrotask(() => queueMicrotask(() => queueMicrotask(() => over.abort())))
    if (result !== true) throw new Error(result)
  }
  const sleep = async (ms: number, signal?: AbortSignal) => {
    // This is the timeout of one check, not the wait between two checks.
    if (ms === 2000) return new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()))
    waits.push(ms)
    now += ms
    await new Promise((resolve) => setImmediate(resolve))
  }
  const listener = {
    onReady: () => happened.push('ready'),
    onUnhealthy: (reason: string) => happened.push(`unhealthy: ${reason}`),
  }
  const record: ProbeRecord = { state: NOT_PROBED }
  await poll(probe(settings), check, record, listener, over.signal, { now: () => now, sleep })
  return { happened, waits, state: record.state, listeners: getEventListeners(over.signal, 'abort').length }
}

describe('poll', () => {
  test('reports every change and nothing else', async () => {
    const { happened } = await polled(['no', true, true, 'gone', 'gone', true, true], { failureThreshold: 2 })
    expect(happened).toEqual(['ready', 'unhealthy: gone', 'ready'])
  })

  test('probes often until the first success, and rarely afterwards', async () => {
    const { waits } = await polled(['no', 'no', true, true, true], { initialDelayMs: 70 })
    expect(waits.slice(0, 5)).toEqual([70, 200, 200, 5000, 5000])
  })

  test('measures the period from start to start: a slow check shortens the wait', async () => {
    const { waits } = await polled(['no', 'no', 'no'], {}, 150)
    expect(waits.slice(1, 3)).toEqual([50, 50])
  })

  test('keeps the last answer and counts the failures in a row', async () => {
    const { state } = await polled(['first', true, 'no', 'still no'])
    expect(state).toMatchObject({ ready: false, failures: 2, successes: 0, answer: 'still no' })
  })

  test('leaves no listeners behind, regardless of the number of probes', async () => {
    const { listeners } = await polled(Array.from({ length: 50 }, () => true as const))
    expect(listeners).toBe(0)
  })

  test('reports a check that exceeds its timeout as failed, and the reason names the timeout', async () => {
    const over = new AbortController()
    const reasons: string[] = []
    let attempts = 0
    const check: Check = (signal) => {
      attempts += 1
      if (attempts === 1) return Promise.resolve()
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('it did not answer')), { once: true })
      })
    }
    const listener = {
      onReady: () => {},
      onUnhealthy: (reason: string) => {
        reasons.push(reason)
        over.abort()
      },
    }
    await poll(probeOf({ type: 'notify' }, { timeoutMs: 20 }), check, { state: NOT_PROBED }, listener, over.signal)
    expect(reasons).toEqual(['it did not answer within 20 ms'])
  })
})
