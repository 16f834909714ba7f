import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ExitResult } from '../events.ts'
import {
  backoffDelay,
  RestartHistory,
  decideAfterExit,
  decideAfterFailure,
  type Ended,
  hasSucceeded,
} from './restart-policy.ts'
import type { ResolvedRestart } from '../../config/resolved.ts'

const restart = (over: Partial<ResolvedRestart> = {}): ResolvedRestart => ({
  policy: 'always',
  backoffMs: 500,
  maxBackoffMs: 10_000,
  jitter: 0,
  resetAfterMs: 30_000,
  maxAttempts: Infinity,
  startupAttempts: Infinity,
  windowMs: null,
  ...over,
})

const ended = (over: Partial<Ended> = {}): Ended => ({
  kind: 'service',
  successExitCodes: [0],
  startsBeforeUp: 0,
  restart: restart(),
  attempt: 0,
  recentRestarts: 0,
  uptimeMs: 10,
  random: 0.5,
  ...over,
})

const code = (value: number): ExitResult => ({ code: value, signal: null })
const signal = (name: NodeJS.Signals): ExitResult => ({ code: null, signal: name })

describe('the backoff before a restart (O-34)', () => {
  test('doubles from the backoff up to the maximum', () => {
    const waits = [1, 2, 3, 4, 5, 6, 7].map((attempt) => backoffDelay(attempt, restart(), 0))
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000])
  })

  test('does not overflow, and stays 0 for a backoff of 0', () => {
    expect(backoffDelay(5000, restart(), 0)).toBe(10_000)
    expect(backoffDelay(5000, restart({ backoffMs: 0 }), 0)).toBe(0)
  })

  test('is between 0 and the maximum, and the jitter reduces it by at most its fraction', () => {
    const some = fc.record({
      attempt: fc.integer({ min: 1, max: 1_000_000 }),
      backoffMs: fc.nat(1_000_000),
      maxBackoffMs: fc.nat(10_000_000),
      jitter: fc.double({ min: 0, max: 1, noNaN: true }),
      random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    })
    fc.assert(
      fc.property(some, ({ attempt, random, ...rest }) => {
        const plain = backoffDelay(attempt, restart({ ...rest, jitter: 0 }), random)
        const wait = backoffDelay(attempt, restart(rest), random)
        expect(Number.isSafeInteger(wait)).toBe(true)
        expect(wait).toBeLessThanOrEqual(Math.min(plain, rest.maxBackoffMs))
        expect(wait).toBeGreaterThanOrEqual(Math.floor(plain * (1 - rest.jitter)))
      }),
    )
  })

  test('never decreases from one attempt to the next', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), fc.nat(100_000), fc.nat(100_000), (attempt, backoffMs, max) => {
        const rules = restart({ backoffMs, maxBackoffMs: max })
        expect(backoffDelay(attempt + 1, rules, 0)).toBeGreaterThanOrEqual(backoffDelay(attempt, rules, 0))
      }),
    )
  })
})

describe('the decision after an exit (O-34)', () => {
  test.each([
    ['service', 'always', code(0), 'backoff'],
    ['service', 'always', code(1), 'backoff'],
    ['service', 'on_failure', code(0), 'completed'],
    ['service', 'on_failure', code(1), 'backoff'],
    ['service', 'on_failure', { code: null, signal: 'SIGTERM' }, 'backoff'],
    ['service', 'never', code(0), 'completed'],
    ['service', 'never', code(1), 'failed'],
    ['service', 'never', { code: null, signal: 'SIGSEGV' }, 'failed'],
    ['task', 'never', code(0), 'completed'],
    ['task', 'never', code(1), 'failed'],
    ['task', 'on_failure', code(1), 'backoff'],
    ['task', 'always', code(0), 'completed'],
  ] as const)('for a %s with policy %s and exit %o is %s', (kind, policy, exit, type) => {
    expect(decideAfterExit(ended({ kind, restart: restart({ policy }) }), exit).type).toBe(type)
  })

  test('allows three restarts, thus four starts, with max_attempts 3', () => {
    const rules = restart({ maxAttempts: 3 })
    const decisions = [0, 1, 2, 3].map((attempt) => decideAfterExit(ended({ restart: rules, attempt }), code(7)))
    expect(decisions.map((decision) => decision.type)).toEqual(['backoff', 'backoff', 'backoff', 'failed'])
    expect(decisions[3]).toEqual({ type: 'failed', reason: 'exited with code 7, after 3 restarts' })
  })

  test('counts attempts from the beginning after an uptime of reset_after_ms', () => {
    const long = ended({ attempt: 9, uptimeMs: 30_000, restart: restart({ maxAttempts: 9 }) })
    expect(decideAfterExit(long, code(1))).toEqual({
      type: 'backoff',
      attempt: 1,
      waitMs: 500,
      reason: 'exited with code 1',
    })
    expect(decideAfterExit({ ...long, uptimeMs: 29_999 }, code(1)).type).toBe('failed')
  })

  test('counts a failed respawn as an attempt', () => {
    expect(decideAfterFailure(ended({ attempt: 1, uptimeMs: 0 }), 'gone')).toMatchObject({ attempt: 2 })
    const never = ended({ restart: restart({ policy: 'never' }) })
    expect(decideAfterFailure(never, 'gone')).toEqual({ type: 'failed', reason: 'gone' })
  })
})

describe('startup_attempts (O-43)', () => {
  const rules = restart({ startupAttempts: 3 })
  const decideAt = (startsBeforeUp: number, over: Partial<Ended> = {}) =>
    decideAfterExit(ended({ restart: rules, startsBeforeUp, ...over }), code(1))

  test('limits the starts of a process that has never been up', () => {
    expect([1, 2].map((starts) => decideAt(starts).type)).toEqual(['backoff', 'backoff'])
    expect(decideAt(3)).toEqual({ type: 'failed', reason: 'exited with code 1; not ready after 3 starts' })
    expect(decideAt(3, { uptimeMs: 60_000 }).type).toBe('failed')
    expect(decideAt(0, { attempt: 99 }).type).toBe('backoff')
  })

  test('counts the starts in a row until the process is up', () => {
    const history = new RestartHistory({ kind: 'service', restart: rules, successExitCodes: [0] })
    expect(history.lastAttempt).toBe(2)
    for (const isFirst of [true, false, false]) history.onStart(isFirst)
    expect(history.startsBeforeUp).toBe(3)
    history.onStart(true)
    expect(history.startsBeforeUp).toBe(1)
    history.onUp()
    history.onStart(false)
    expect([history.startsBeforeUp, history.lastAttempt]).toEqual([0, Infinity])
  })
})

describe('success_exit_codes', () => {
  test.each<[readonly number[], ExitResult, boolean]>([
    [[0], code(0), true],
    [[0], code(143), false],
    [[0], signal('SIGTERM'), false],
    [[0, 143], code(143), true],
    [[0, 143], signal('SIGTERM'), true],
    [[0, 143], signal('SIGKILL'), false],
    [[0, 137], signal('SIGKILL'), true],
    [[3], code(0), false],
    [[3], code(3), true],
  ])('%j makes %o a success: %s', (successExitCodes, exit, expected) => {
    const given = ended({ successExitCodes, restart: restart({ policy: 'on_failure' }) })
    expect(decideAfterExit(given, exit).type).toBe(expected ? 'completed' : 'backoff')
    expect(hasSucceeded({ kind: 'task', successExitCodes }, exit)).toBe(expected)
    expect(hasSucceeded({ kind: 'service', successExitCodes }, exit)).toBe(false)
  })
})

describe('the warning about a restart loop', () => {
  test.each([
    [4, Infinity, undefined, false],
    [5, Infinity, undefined, true],
    [6, Infinity, undefined, false],
    [5, 9, undefined, false],
    [5, Infinity, false, false],
  ] as const)('attempt %d of %d, counted: %s → %s', (attempt, maxAttempts, isCounted, expected) => {
    const history = new RestartHistory({ kind: 'service', restart: restart({ maxAttempts }), successExitCodes: [0] })
    const backoff = { type: 'backoff', attempt, waitMs: 1, reason: 'x' } as const
    expect(history.isLoop(isCounted === undefined ? backoff : { ...backoff, isCounted })).toBe(expected)
  })
})

describe('the cause of the last restart', () => {
  test.each<[ExitResult | null, string, string]>([
    [code(3), 'exited with code 3', 'last exit: code 3'],
    [signal('SIGKILL'), 'was ended by SIGKILL', 'last exit: SIGKILL'],
    [
      signal('SIGTERM'),
      'failed its liveness probe: answered 503',
      'last restart: failed its liveness probe: answered 503',
    ],
    [null, '"x" was not found', 'last restart: "x" was not found'],
  ])('%j with the reason %s is %s', (exit, reason, text) => {
    const history = new RestartHistory({ kind: 'service', restart: restart({}), successExitCodes: [0] })
    if (exit !== null) history.onExit(exit)
    history.onBackoff({ type: 'backoff', attempt: 1, waitMs: 1, reason }, 7)
    expect(history.last).toEqual({ text, at: 7 })
  })
})

describe('max_attempts within window_ms (O-34)', () => {
  const rules = restart({ maxAttempts: 3, windowMs: 1000 })

  /** Returns the decision after the last of these exits. */
  function lifeOf(ends: readonly number[]): string[] {
    const history = new RestartHistory({ kind: 'service', restart: rules, successExitCodes: [0] })
    return ends.map((now) => {
      const decision = decideAfterExit(ended({ restart: rules, recentRestarts: history.recent(now) }), code(1))
      history.onExit(code(1))
      if (decision.type === 'backoff') history.onBackoff(decision, now)
      return decision.type
    })
  }

  test('leads to a permanent failure with more restarts within the window, and the reason states both limits', () => {
    expect(lifeOf([0, 300, 600, 900])).toEqual(['backoff', 'backoff', 'backoff', 'failed'])
    const decision = decideAfterExit(ended({ restart: rules, recentRestarts: 3 }), code(1))
    expect(decision).toEqual({ type: 'failed', reason: 'exited with code 1, after 3 restarts within 1000 ms' })
  })

  test('allows any number of consecutive restarts that are further apart', () => {
    expect(new Set(lifeOf(Array.from({ length: 100 }, (_, index) => index * 334)))).toEqual(new Set(['backoff']))
    expect(decideAfterExit(ended({ restart: rules, attempt: 99, recentRestarts: 2 }), code(1)).type).toBe('backoff')
  })

  test('leads to a failure exactly when the window would contain one restart more than allowed', () => {
    const gaps = fc.array(fc.nat(800), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(gaps, (waits) => {
        let now = 0
        const ends = waits.map((wait) => (now += wait))
        const decisions = lifeOf(ends)
        const restarts: number[] = []
        ends.forEach((end, index) => {
          const within = restarts.filter((time) => end - time < 1000).length
          expect(decisions[index]).toBe(within < 3 ? 'backoff' : 'failed')
          if (within < 3) restarts.push(end)
        })
      }),
    )
  })
})
