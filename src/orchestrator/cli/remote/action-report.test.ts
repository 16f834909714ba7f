import { describe, expect, it } from 'vitest'
import { statusOf } from '../../../../test/rig/orchestrator/process-status.ts'
import { describeDependents, describeLeftOut, describeResult } from './action-report.ts'

const up = statusOf('api', 'ready', { pid: 4711, uptime_ms: 300 })
const down = { pid: null, uptime_ms: null, ready: false }

describe('the result of an action', () => {
  it.each([
    ['start', {}, 'api: ready after 300 ms (pid 4711)'],
    ['start', { state: 'running' }, 'api: started (pid 4711)'],
    ['start', { uptime_ms: 60_000 }, 'api: was already ready (pid 4711)'],
    ['start', { ...down, state: 'completed', ready: true }, 'api: completed'],
    ['start', { ...down, state: 'waiting', detail: 'waiting for db: stopped' }, 'api: waiting for db: stopped'],
    ['restart', {}, 'api: restarted (pid 4711)'],
    ['restart', { ...down, state: 'waiting' }, 'api: waiting'],
    ['stop', { ...down, state: 'stopped' }, 'api: stopped'],
    ['stop', { ...down, state: 'completed', ready: true }, 'api: has already completed'],
    ['stop', { ...down, state: 'scheduled', detail: 'next run at 03:00' }, 'api: scheduled; next run at 03:00'],
  ] as const)('of %s with %j is %s', (action, status, expected) => {
    expect(describeResult(action, { ...up, ...status }, 1000)).toBe(expected)
  })

  it('of a stop names what a completed process had left running', () => {
    const ended = { pids: [7, 8, 9, 10], commands: ['nginx: master', '', 'nginx: worker', 'nginx: worker'] }
    expect(describeResult('stop', { ...up, ...down, state: 'completed' }, 1000, ended)).toBe(
      'api: has already completed; stopped what it had left: 7 nginx: master, 8, 9 nginx: worker and 1 more',
    )
  })
})

describe('the dependents of stopped processes', () => {
  const of = (name: string, depends_on: string[], pid: number | null = 1) => ({ name, depends_on, pid })
  const all = [
    of('db', [], null),
    of('cache', [], null),
    of('job', ['db'], null),
    of('api', ['db', 'cache']),
    of('web', ['db']),
  ]

  it.each([
    [['db'], 'api and web depend on it and keep running'],
    [['cache'], 'api depends on it and keeps running'],
    [['db', 'cache'], 'api and web depend on them and keep running'],
    [['api'], null],
  ])('%j are %s', (names, expected) => {
    expect(
      describeDependents(
        names.map((name) => ({ name })),
        all,
      ),
    ).toBe(expected)
  })
})

describe('the left-out dependencies of started processes', () => {
  const api = { name: 'api', depends_on: ['db', 'migrate'] }
  it.each([
    [['running', 'completed'], null],
    [['disabled', 'completed'], 'db is left out, although needed; "start" with --with-dependencies starts it, too'],
    [
      ['disabled', 'disabled'],
      'db and migrate are left out, although needed; "start" with --with-dependencies starts them, too',
    ],
  ] as const)('in the states %j are reported as %s', ([db, migrate], expected) => {
    const all = [
      { name: 'db', state: db },
      { name: 'migrate', state: migrate },
    ]
    expect(describeLeftOut([api], all)).toBe(expected)
  })
})
