import { describe, expect, test } from 'vitest'
import { configOf, probeOf, type ProcessSketch } from '../../../../test/rig/orchestrator/supervised-graph.ts'
import { refutesReadiness, restartSettlesInMs, settlesInMs } from './settling.ts'
import { type ProcessState, UP } from './state.ts'

const running = (attempt: number): ProcessState => ({ type: 'running', attempt, pid: 7 })
const NOW = 10_000

describe('the time until a process counts as ready', () => {
  test.each<[string, ProcessState, Partial<ProcessSketch>, uptimeMs: number, settles: number, restarted: number]>([
    ['a first child', running(0), {}, 0, 1000, 0],
    ['a restarted child', running(3), {}, 0, 1000, 1000],
    ['a restarted child', running(3), {}, 999, 1, 1],
    ['a restarted child', running(3), {}, 1000, 0, 0],
    ['a restarted child', running(3), {}, 5000, 0, 0],
    ['a task', running(3), { kind: 'task' }, 0, 0, 0],
    ['a service with a probe', running(3), { readinessProbe: probeOf({ type: 'notify' }) }, 0, 0, 0],
    ['a ready process', { type: 'ready', attempt: 3, pid: 7 }, {}, 0, 0, 0],
    ['a process in backoff', { type: 'backoff', attempt: 3, waitMs: 5, reason: '', exit: null }, {}, 0, 0, 0],
  ])(
    '%s in %j with %j and an uptime of %d ms: %d ms, of a restart %d ms',
    (_title, state, over, uptimeMs, ...expected) => {
      const [definition] = configOf([{ name: 'web', command: 'true', ...over }]).processes
      if (definition === undefined) throw new Error('no process')
      const managed = { definition, state, startedAt: NOW - uptimeMs }
      expect([settlesInMs(managed, NOW), restartSettlesInMs(managed, NOW)]).toEqual(expected)
    },
  )
})

test.each<[string, Partial<ProcessSketch>, uptimeMs: number, sinceAnnouncedMs: number, refutes: boolean]>([
  ['directly after the announcement', {}, 10, 5, true],
  ['within the second', {}, 999, 999, true],
  ['after a second of uptime', {}, 1000, 999, false],
  ['long after the announcement', {}, 10, 60_000, false],
  ['of a task', { kind: 'task' }, 10, 5, false],
  ['of a service with a probe', { readinessProbe: probeOf({ type: 'notify' }) }, 10, 5, false],
])(
  'an exit %s, %j, after %d ms, %d ms after the announcement, refutes it: %s',
  (_title, over, uptimeMs, since, refutes) => {
    const [definition] = configOf([{ name: 'web', command: 'true', ...over }]).processes
    if (definition === undefined) throw new Error('no process')
    expect(refutesReadiness({ definition, goal: UP }, { uptimeMs, sinceAnnouncedMs: since })).toBe(refutes)
  },
)
