import { describe, expect, test } from 'vitest'
import {
  actionsOf,
  BY_HAND,
  type Sketch,
  snapshotOf,
  type StateName,
} from '../../../../test/rig/orchestrator/rule-snapshot.ts'
import { resumeSkipped, settleFailures, skipHopeless } from './failure-rules.ts'
import type { Failure, ReconciledProcess, Snapshot } from './snapshot.ts'

describe('skipHopeless', () => {
  test('skips the dependents of a failed process, and then their dependents, regardless of the order of the file', () => {
    const snapshot = snapshotOf({
      web: { needs: ['api:ready'] },
      api: { needs: ['migrate:completed_successfully'] },
      migrate: { kind: 'task', state: 'failed' },
    })
    expect(actionsOf(skipHopeless(snapshot))).toEqual([
      'skip api: "migrate" exited with code 1',
      'skip web: "api" was skipped',
    ])
  })

  test.each<[string, StateName, boolean]>([
    ['a:completed', 'failed', false],
    ['a:started', 'failed', true],
    ['a:started', 'skipped', true],
    ['a:started', 'backoff', false],
    ['a:started', 'stopped', false],
    ['a:completed_successfully', 'disabled', false],
    ['a:completed', 'running', false],
    ['missing:ready', 'failed', false],
  ])('evaluates the dependency %s in state %s: skipped %s', (need, state, isSkipped) => {
    const snapshot = snapshotOf({ a: { state }, b: { needs: [need] } })
    expect(skipHopeless(snapshot)).toHaveLength(isSkipped ? 1 : 0)
  })
})

describe('settleFailures', () => {
  const failure = (cause: Failure['cause'], process = 'a'): Failure => ({ process, reason: 'r', cause })
  const failed = { state: 'failed' } as const
  const stop = { ...failed, whenFailed: 'stop' } as const
  const task = { ...failed, kind: 'task' } as const
  const run = { ...task, schedule: '@daily' }
  const user = { needs: ['a:ready'] }
  const rows: readonly [
    string,
    Snapshot<ReconciledProcess>['phase'],
    Failure['cause'],
    Record<string, Sketch>,
    string[],
  ][] = [
    ['the first start of a process fails the start', 'starting', 'spawn', { a: failed }, ['stop_all: start_failed']],
    ['a failed command after the start is isolated', 'up', 'spawn', { a: failed }, ['report_failure a']],
    ['… unless it is to stop all', 'up', 'spawn', { a: stop }, ['report_failure a', 'stop_all: process_failed']],
    ['a startup time-out that nothing waits for is isolated', 'starting', 'startup_timeout', { a: failed }, []],
    [
      'one that a dependent waits for fails the start',
      'starting',
      'startup_timeout',
      { a: failed, b: user },
      ['skip b: "a" exited with code 1', 'stop_all: start_failed'],
    ],
    [
      'one after the start is isolated',
      'up',
      'startup_timeout',
      { a: failed, b: user },
      ['skip b: "a" exited with code 1'],
    ],
    ['a task fails the start', 'starting', 'run', { a: task }, ['stop_all: start_failed']],
    ['a task after the start is isolated', 'up', 'run', { a: task }, []],
    ['a task that a command starts is isolated', 'starting', 'run', { a: { ...task, request: Symbol('start') } }, []],
    ['a task that runs again is isolated', 'starting', 'run', { a: { ...task, hasBeenUp: true } }, []],
    [
      'a process that a reload brings is isolated',
      'starting',
      'spawn',
      { a: { ...failed, request: Symbol('reload') } },
      ['report_failure a'],
    ],
    ['a service is isolated', 'starting', 'run', { a: failed }, []],
    ['a run of a schedule is isolated', 'starting', 'run', { a: run }, []],
    ['a run of a schedule without its command is isolated', 'starting', 'spawn', { a: run }, ['report_failure a']],
    ['a service stops all if it is to', 'starting', 'run', { a: stop }, ['stop_all: process_failed']],
    [
      'what waits for the end of a task is kept with its dependencies, all others stop',
      'starting',
      'run',
      { a: task, after: { needs: ['a:completed', 'db'] }, db: { state: 'running' }, other: { state: 'running' } },
      ['set_goal other → start_failed'],
    ],
    ['nothing further while all stop', 'stopping', 'spawn', { a: stop }, []],
  ]

  test.each(rows)('decides by this case: %s', (_title, phase, cause, sketches, expected) => {
    const actions = settleFailures(snapshotOf(sketches, { phase, failures: [failure(cause)] }))
    expect(actionsOf(actions)).toEqual(['forget_failures', ...expected])
  })
})

describe('resumeSkipped', () => {
  const request = Symbol('reload')

  test.each<[string, Sketch, string[]]>([
    ['still failed', { state: 'failed' }, []],
    ['starts by a request', { state: 'waiting', request }, ['set_request web → reload', 'reset web']],
    ['starts again', { state: 'starting' }, ['reset web']],
    ['has completed', { state: 'completed', kind: 'task' }, ['reset web']],
  ])('handles a skipped process whose dependency %s', (_title, dependency, expected) => {
    const web: Sketch = { state: 'skipped', needs: ['db:completed_successfully'] }
    expect(actionsOf(resumeSkipped(snapshotOf({ db: dependency, web })))).toEqual(expected)
    expect(resumeSkipped(snapshotOf({ db: dependency, web: { ...web, goal: BY_HAND } }))).toEqual([])
  })
})
