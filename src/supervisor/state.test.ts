import fc from 'fast-check'
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
  stopping: { type: 'stopping', pid: 7, exit: null, then: stopped },
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
  stop: { type: 'stop', then: stopped },
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
    stop: { type: 'stopping', pid: null, exit: null, then: stopped },
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
    stop: STATES.stopping,
    emptied: { type: 'stopped', exit: null },
  },
  backoff: {
    start: { type: 'starting', attempt: 3 },
    stop: { type: 'stopping', pid: null, exit, then: stopped },
  },
  stopped: { reset: { type: 'waiting' } },
  failed: { reset: { type: 'waiting' } },
  completed: { reset: { type: 'waiting' } },
  skipped: { reset: { type: 'waiting' } },
}

describe('the table, every state × event', () => {
  const cells = Object.values(STATES).flatMap((state) => Object.values(EVENTS).map((event) => [state, event] as const))

  test.each(cells)('%o, %o', (state, event) => {
    const expected = CHANGES[state.type][event.type]
    if (expected === undefined) expect(transition(state, event)).toBe(state)
    else expect(transition(state, event)).toEqual(expected)
  })

  test('an end is judged: backoff, failed or completed', () => {
    const failed = transition(STATES.ready, { type: 'exited', exit, verdict: { type: 'failed', reason: 'r' } })
    expect(failed).toEqual({ type: 'failed', reason: 'r', exit })
    const zero = { code: 0, signal: null } as const
    const completed = transition(STATES.running, { type: 'exited', exit: zero, verdict: { type: 'completed' } })
    expect(completed).toEqual({ type: 'completed', exit: zero })
  })

  test('a stop may be for a restart or a failure; once it is for good it stays so', () => {
    const restarting = transition(STATES.ready, { type: 'stop', then: { type: 'waiting' } })
    expect(transition(restarting, { type: 'emptied' })).toEqual({ type: 'waiting' })
    const overruled = transition(restarting, { type: 'stop', then: stopped })
    expect(transition(overruled, { type: 'stop', then: { type: 'waiting' } })).toMatchObject({ then: stopped })
    const failing = transition(STATES.running, { type: 'stop', then: { type: 'failed', reason: 'too slow' } })
    const both = transition(failing, { type: 'stop', then: stopped })
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
    then: fc.constantFrom({ type: 'waiting' } as const, { type: 'failed', reason: 'r' } as const, stopped),
  }),
)

function walk(
  events: readonly ProcessEvent[],
  visit: (before: ProcessState, event: ProcessEvent, after: ProcessState) => void,
) {
  let state = INITIAL_STATE
  for (const event of events) {
    const after = transition(state, event)
    visit(state, event, after)
    state = after
  }
  return state
}

describe('over random event orders', () => {
  const orders = fc.array(anyEvent, { maxLength: 60 })

  test('a final state is left by a reset only', () => {
    fc.assert(
      fc.property(orders, (events) => {
        walk(events, (before, event, after) => {
          if (isFinal(before) && after !== before) expect(event.type).toBe('reset')
        })
      }),
    )
  })

  test('never two children: it starts only when none runs', () => {
    fc.assert(
      fc.property(orders, (events) => {
        walk(events, (before, _event, after) => {
          if (after.type === 'starting' && before.type !== 'starting')
            expect(['waiting', 'backoff']).toContain(before.type)
        })
      }),
    )
  })

  test('never a start after a stop, until somebody resets it', () => {
    fc.assert(
      fc.property(orders, orders, (before, after) => {
        const state = transition(
          walk(before, () => {}),
          { type: 'stop', then: stopped },
        )
        let current = state
        for (const event of after.filter((event) => event.type !== 'reset')) {
          current = transition(current, event)
          expect(current.type === 'stopping' || isFinal(current)).toBe(true)
        }
      }),
    )
  })

  test('a stop and an emptied group end every life in a final state', () => {
    fc.assert(
      fc.property(orders, (events) => {
        const asked = transition(
          walk(events, () => {}),
          { type: 'stop', then: stopped },
        )
        expect(isFinal(transition(asked, { type: 'emptied' }))).toBe(true)
      }),
    )
  })

  test('a child that is known keeps its pid until it exits or its group is gone', () => {
    fc.assert(
      fc.property(orders, (events) => {
        walk(events, (before, event, after) => {
          const had = 'pid' in before ? before.pid : null
          if (had === null || event.type === 'spawned') return
          const has = 'pid' in after ? after.pid : null
          if (has !== had) expect(['exited', 'emptied']).toContain(event.type)
          if (isDown(after)) expect(['exited', 'emptied']).toContain(event.type)
        })
      }),
    )
  })
})
