import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ExitResult } from './events.ts'
import { INITIAL_STATE, isDown, isFinal, transition, type ProcessEvent, type ProcessState } from './state.ts'

const exit: ExitResult = { code: 1, signal: null }
const stopped = { type: 'stopped' } as const

const STATES: { readonly [S in ProcessState['type']]: Extract<ProcessState, { type: S }> } = {
  waiting: { type: 'waiting' },
  starting: { type: 'starting', attempt: 2 },
  running: { type: 'running', attempt: 2, pid: 7 },
  ready: { type: 'ready', attempt: 2, pid: 7 },
  unhealthy: { type: 'unhealthy', attempt: 2, pid: 7, reason: 'no answer' },
  stopping: { type: 'stopping', pid: 7, exit: null, outcome: stopped },
  stopped: { type: 'stopped', exit },
  backoff: { type: 'backoff', attempt: 3, waitMs: 500, exit },
  failed: { type: 'failed', reason: 'broken', exit },
  completed: { type: 'completed', exit: { code: 0, signal: null } },
  skipped: { type: 'skipped', because: 'x failed' },
}

const EVENTS: { readonly [E in ProcessEvent['type']]: Extract<ProcessEvent, { type: E }> } = {
  start: { type: 'start' },
  spawned: { type: 'spawned', pid: 8 },
  spawn_failed: { type: 'spawn_failed', verdict: { type: 'failed', reason: 'not found' } },
  exited: { type: 'exited', exit, verdict: { type: 'backoff', attempt: 3, waitMs: 500 } },
  probe_succeeded: { type: 'probe_succeeded' },
  probe_failed: { type: 'probe_failed', reason: 'no answer' },
  stop: { type: 'stop', outcome: stopped },
  emptied: { type: 'emptied' },
  skip: { type: 'skip', because: 'x failed' },
  reset: { type: 'reset' },
}

/** The cells of the table in which something changes; every other one keeps the very same object. */
const CHANGES: { readonly [S in ProcessState['type']]: Partial<Record<ProcessEvent['type'], ProcessState>> } = {
  waiting: {
    start: { type: 'starting', attempt: 0 },
    stop: { type: 'stopped', exit: null },
    skip: { type: 'skipped', because: 'x failed' },
  },
  starting: {
    spawned: { type: 'running', attempt: 2, pid: 8 },
    spawn_failed: { type: 'failed', reason: 'not found', exit: null },
    stop: { type: 'stopping', pid: null, exit: null, outcome: stopped },
  },
  running: {
    exited: { type: 'backoff', attempt: 3, waitMs: 500, exit },
    probe_succeeded: { type: 'ready', attempt: 2, pid: 7 },
    stop: STATES.stopping,
  },
  ready: {
    exited: { type: 'backoff', attempt: 3, waitMs: 500, exit },
    probe_failed: STATES.unhealthy,
    stop: STATES.stopping,
  },
  unhealthy: {
    exited: { type: 'backoff', attempt: 3, waitMs: 500, exit },
    probe_succeeded: STATES.ready,
    stop: STATES.stopping,
  },
  stopping: {
    spawned: { ...STATES.stopping, pid: 8 },
    exited: { ...STATES.stopping, pid: null, exit },
    emptied: { type: 'stopped', exit: null },
  },
  backoff: {
    start: { type: 'starting', attempt: 3 },
    stop: { type: 'stopping', pid: null, exit, outcome: stopped },
  },
  stopped: { reset: { type: 'waiting' } },
  failed: { reset: { type: 'waiting' } },
  completed: { reset: { type: 'waiting' } },
  skipped: { reset: { type: 'waiting' } },
}

describe('the table, every state × event', () => {
  const cells = Object.values(STATES).flatMap((state) => Object.values(EVENTS).map((event) => [state, event] as const))

  test.each(cells)('%o, %o', (state, event) => {
    const change = CHANGES[state.type][event.type]
    const after = transition(state, event)
    expect(after).toEqual(change ?? state)
    expect(after === state).toBe(change === undefined)
  })

  test('an end is judged: backoff, failed or completed', () => {
    const failed = transition(STATES.ready, { type: 'exited', exit, verdict: { type: 'failed', reason: 'r' } })
    expect(failed).toEqual({ type: 'failed', reason: 'r', exit })
    const zero = { code: 0, signal: null } as const
    const completed = transition(STATES.running, { type: 'exited', exit: zero, verdict: { type: 'completed' } })
    expect(completed).toEqual({ type: 'completed', exit: zero })
  })

  test('a stop may be for a restart or a failure; once it is for good it stays so', () => {
    const restarting = transition(STATES.ready, { type: 'stop', outcome: { type: 'waiting' } })
    expect(transition(restarting, { type: 'emptied' })).toEqual({ type: 'waiting' })
    const again = { type: 'backoff', attempt: 3, waitMs: 9 } as const
    const failedLiveness = transition(STATES.ready, { type: 'stop', outcome: again })
    expect(transition(failedLiveness, { type: 'emptied' })).toEqual({ ...again, exit: null })
    expect(transition(failedLiveness, { type: 'stop', outcome: stopped })).toMatchObject({ outcome: stopped })
    expect(transition(STATES.waiting, { type: 'stop', outcome: again })).toBe(STATES.waiting)
    const overruled = transition(restarting, { type: 'stop', outcome: stopped })
    expect(transition(overruled, { type: 'stop', outcome: { type: 'waiting' } })).toMatchObject({ outcome: stopped })
    const failing = transition(STATES.running, { type: 'stop', outcome: { type: 'failed', reason: 'too slow' } })
    const both = transition(failing, { type: 'stop', outcome: stopped })
    expect(transition(both, { type: 'emptied' })).toEqual({ type: 'failed', reason: 'too slow', exit: null })
  })
})

const anyVerdict = fc.oneof(
  fc.constant({ type: 'completed' } as const),
  fc.record({ type: fc.constant('failed' as const), reason: fc.string() }),
  fc.record({ type: fc.constant('backoff' as const), attempt: fc.nat(9), waitMs: fc.nat(999) }),
)
const anyEvent: fc.Arbitrary<ProcessEvent> = fc.oneof(
  fc.constantFrom<ProcessEvent>(...Object.values(EVENTS)),
  fc.record({ type: fc.constant('exited' as const), exit: fc.constant(exit), verdict: anyVerdict }),
  fc.record({ type: fc.constant('spawn_failed' as const), verdict: anyVerdict }),
  fc.record({
    type: fc.constant('stop' as const),
    outcome: fc.constantFrom(
      { type: 'waiting' } as const,
      { type: 'backoff', attempt: 1, waitMs: 5 } as const,
      { type: 'failed', reason: 'r' } as const,
      stopped,
    ),
  }),
)

interface Step {
  readonly before: ProcessState
  readonly event: ProcessEvent
  readonly after: ProcessState
}

function walk(events: readonly ProcessEvent[], from = INITIAL_STATE): Step[] {
  let before = from
  return events.map((event) => {
    const step = { before, event, after: transition(before, event) }
    before = step.after
    return step
  })
}

const lastOf = (steps: readonly Step[]): ProcessState => steps.at(-1)?.after ?? INITIAL_STATE
const pidOf = (state: ProcessState): number | null => ('pid' in state ? state.pid : null)

describe('over random event orders', () => {
  const orders = fc.array(anyEvent, { maxLength: 60 })

  /** No step of any walk may be such a breach. */
  function never(breach: (step: Step) => boolean): void {
    fc.assert(
      fc.property(orders, (events) => {
        expect(walk(events).filter(breach)).toEqual([])
      }),
    )
  }

  test('a final state is left by a reset only', () => {
    expect.hasAssertions()
    never(({ before, event, after }) => isFinal(before) && after !== before && event.type !== 'reset')
  })

  test('never two children: it starts only when none runs', () => {
    expect.hasAssertions()
    never(
      ({ before, after }) =>
        after !== before && after.type === 'starting' && !['waiting', 'backoff'].includes(before.type),
    )
  })

  test('a child that is known keeps its pid until it exits or its group is gone', () => {
    expect.hasAssertions()
    never(({ before, event, after }) => {
      if (pidOf(before) === null || ['exited', 'emptied', 'spawned'].includes(event.type)) return false
      return pidOf(after) !== pidOf(before) || isDown(after)
    })
  })

  test('never a start after a stop, until somebody resets it', () => {
    fc.assert(
      fc.property(orders, orders, (earlier, later) => {
        const asked = transition(lastOf(walk(earlier)), { type: 'stop', outcome: stopped })
        const withoutReset = later.filter((event) => event.type !== 'reset')
        const states = walk(withoutReset, asked).map((step) => step.after)
        expect(states.every((state) => state.type === 'stopping' || isFinal(state))).toBe(true)
      }),
    )
  })

  test('a stop and an emptied group end every life in a final state', () => {
    fc.assert(
      fc.property(orders, (events) => {
        const asked = transition(lastOf(walk(events)), { type: 'stop', outcome: stopped })
        expect(isFinal(transition(asked, { type: 'emptied' }))).toBe(true)
      }),
    )
  })
})
