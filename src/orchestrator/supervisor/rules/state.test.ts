import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ExitResult } from '../events.ts'
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
  backoff: { type: 'backoff', attempt: 3, waitMs: 500, reason: 'crash', exit },
  failed: { type: 'failed', reason: 'broken', exit },
  completed: { type: 'completed', exit: { code: 0, signal: null } },
  skipped: { type: 'skipped', because: 'x failed' },
  scheduled: { type: 'scheduled' },
  disabled: { type: 'disabled', because: 'was left out' },
}

const EVENTS: { readonly [E in ProcessEvent['type']]: Extract<ProcessEvent, { type: E }> } = {
  start: { type: 'start' },
  spawned: { type: 'spawned', pid: 8 },
  spawn_failed: { type: 'spawn_failed', decision: { type: 'failed', reason: 'not found' } },
  exited: { type: 'exited', exit, decision: { type: 'backoff', attempt: 3, waitMs: 500, reason: 'crash' } },
  probe_succeeded: { type: 'probe_succeeded' },
  probe_failed: { type: 'probe_failed', reason: 'no answer' },
  stop: { type: 'stop', outcome: stopped },
  group_exited: { type: 'group_exited' },
  skip: { type: 'skip', because: 'x failed' },
  reset: { type: 'reset' },
}

/** The cells of the table with an effect. */
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
    exited: { type: 'backoff', attempt: 3, waitMs: 500, reason: 'crash', exit },
    probe_succeeded: { type: 'ready', attempt: 2, pid: 7 },
    stop: STATES.stopping,
  },
  ready: {
    exited: { type: 'backoff', attempt: 3, waitMs: 500, reason: 'crash', exit },
    probe_failed: STATES.unhealthy,
    stop: STATES.stopping,
  },
  unhealthy: {
    exited: { type: 'backoff', attempt: 3, waitMs: 500, reason: 'crash', exit },
    probe_succeeded: STATES.ready,
    stop: STATES.stopping,
  },
  stopping: {
    exited: { ...STATES.stopping, pid: null, exit },
    group_exited: { type: 'stopped', exit: null },
  },
  backoff: {
    start: { type: 'starting', attempt: 3 },
    stop: { type: 'stopping', pid: null, exit, outcome: stopped },
  },
  stopped: { reset: { type: 'waiting' } },
  failed: { reset: { type: 'waiting' } },
  completed: { reset: { type: 'waiting' } },
  skipped: { reset: { type: 'waiting' } },
  scheduled: { reset: { type: 'waiting' } },
  disabled: { reset: { type: 'waiting' } },
}

/** The cells without an effect; in every other cell the event is an error. */
const LATE: { readonly [S in ProcessState['type']]?: readonly ProcessEvent['type'][] } = {
  stopping: ['spawn_failed', 'probe_succeeded', 'probe_failed', 'stop'],
}

describe('the transition table (O-44)', () => {
  const cells = Object.values(STATES).flatMap((state) => Object.values(EVENTS).map((event) => [state, event] as const))

  const changes = cells.filter(([state, event]) => CHANGES[state.type][event.type] !== undefined)
  const late = cells.filter(([state, event]) => LATE[state.type]?.includes(event.type))
  const others = cells.filter((cell) => !changes.includes(cell) && !late.includes(cell))

  test.each(changes)('changes %o with %o', (state, event) => {
    expect(transition(state, event)).toEqual(CHANGES[state.type][event.type])
  })

  test.each(late)('ignores in %o the late %o', (state, event) => {
    expect(transition(state, event)).toBe(state)
  })

  test.each(others)('rejects in %o the event %o', (state, event) => {
    expect(() => transition(state, event)).toThrow('is not possible in the state')
  })

  test('leads from an exit to backoff, failed or completed, as decided', () => {
    const failed = transition(STATES.ready, { type: 'exited', exit, decision: { type: 'failed', reason: 'r' } })
    expect(failed).toEqual({ type: 'failed', reason: 'r', exit })
    const zero = { code: 0, signal: null } as const
    const completed = transition(STATES.running, { type: 'exited', exit: zero, decision: { type: 'completed' } })
    expect(completed).toEqual({ type: 'completed', exit: zero })
  })

  test('has stops for a restart or a failure; a permanent stop is never overridden', () => {
    const restarting = transition(STATES.ready, { type: 'stop', outcome: { type: 'waiting' } })
    expect(transition(restarting, { type: 'group_exited' })).toEqual({ type: 'waiting' })
    const again = { type: 'backoff', attempt: 3, waitMs: 9, reason: 'crash' } as const
    const failedLiveness = transition(STATES.ready, { type: 'stop', outcome: again })
    expect(transition(failedLiveness, { type: 'group_exited' })).toEqual({ ...again, exit: null })
    expect(transition(failedLiveness, { type: 'stop', outcome: stopped })).toMatchObject({ outcome: stopped })
    const overruled = transition(restarting, { type: 'stop', outcome: stopped })
    expect(transition(overruled, { type: 'stop', outcome: { type: 'waiting' } })).toMatchObject({ outcome: stopped })
    const failing = transition(STATES.running, { type: 'stop', outcome: { type: 'failed', reason: 'too slow' } })
    const both = transition(failing, { type: 'stop', outcome: stopped })
    expect(transition(both, { type: 'group_exited' })).toEqual({ type: 'failed', reason: 'too slow', exit: null })
  })
})

const anyDecision = fc.oneof(
  fc.constant({ type: 'completed' } as const),
  fc.record({ type: fc.constant('failed' as const), reason: fc.string() }),
  fc.record({
    type: fc.constant('backoff' as const),
    attempt: fc.nat(9),
    waitMs: fc.nat(999),
    reason: fc.string(),
  }),
)
const anyEvent: fc.Arbitrary<ProcessEvent> = fc.oneof(
  fc.constantFrom<ProcessEvent>(...Object.values(EVENTS)),
  fc.record({ type: fc.constant('exited' as const), exit: fc.constant(exit), decision: anyDecision }),
  fc.record({ type: fc.constant('spawn_failed' as const), decision: anyDecision }),
  fc.record({
    type: fc.constant('stop' as const),
    outcome: fc.constantFrom(
      { type: 'waiting' } as const,
      { type: 'backoff', attempt: 1, waitMs: 5, reason: 'crash' } as const,
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

/** Applies the events in order, skips those that are impossible in the current state, and returns the steps. */
function walk(events: readonly ProcessEvent[], from = INITIAL_STATE): Step[] {
  let before = from
  return events.flatMap((event) => {
    if (CHANGES[before.type][event.type] === undefined && LATE[before.type]?.includes(event.type) !== true) return []
    const step = { before, event, after: transition(before, event) }
    before = step.after
    return step
  })
}

const lastOf = (steps: readonly Step[]): ProcessState => steps.at(-1)?.after ?? INITIAL_STATE
const pidOf = (state: ProcessState): number | null => ('pid' in state ? state.pid : null)

describe('random event orders', () => {
  const orders = fc.array(anyEvent, { maxLength: 60 })

  /** Checks that no step of any walk violates a rule. */
  function never(breach: (step: Step) => boolean): void {
    fc.assert(
      fc.property(orders, (events) => {
        expect(walk(events).filter(breach)).toEqual([])
      }),
    )
  }

  test('leave a final state only by a reset', () => {
    expect.hasAssertions()
    never(({ before, event, after }) => isFinal(before) && after !== before && event.type !== 'reset')
  })

  test('start a process only while no child runs', () => {
    expect.hasAssertions()
    never(
      ({ before, after }) =>
        after !== before && after.type === 'starting' && !['waiting', 'backoff'].includes(before.type),
    )
  })

  test('keep the pid of a child until it exits or its process group is gone', () => {
    expect.hasAssertions()
    never(({ before, event, after }) => {
      if (pidOf(before) === null || ['exited', 'group_exited', 'spawned'].includes(event.type)) return false
      return pidOf(after) !== pidOf(before) || isDown(after)
    })
  })

  test('start no process after a permanent stop until it is reset', () => {
    fc.assert(
      fc.property(orders, orders, (earlier, later) => {
        const asked = lastOf(walk([...earlier, { type: 'stop', outcome: stopped }]))
        const withoutReset = later.filter((event) => event.type !== 'reset')
        const states = walk(withoutReset, asked).map((step) => step.after)
        expect(states.every((state) => state.type === 'stopping' || isFinal(state))).toBe(true)
      }),
    )
  })

  test('lead to a final state after a permanent stop and the end of the process group', () => {
    fc.assert(
      fc.property(orders, (events) => {
        const steps = walk([...events, { type: 'stop', outcome: stopped }, { type: 'group_exited' }])
        expect(isFinal(lastOf(steps))).toBe(true)
      }),
    )
  })
})
