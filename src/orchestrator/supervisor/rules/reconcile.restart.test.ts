import { describe, expect, test } from 'vitest'
import {
  actionsOf,
  BY_HAND,
  down,
  RESTARTING,
  type Sketch,
  snapshotOf,
  type StateName,
} from '../../../../test/rig/orchestrator/rule-snapshot.ts'
import { finishRestarts, isSettled, restartFollowers } from './reconcile.ts'
import { type Goal, UP } from './state.ts'

describe('restartFollowers', () => {
  const follower = (needs: string, state: StateName = 'running', goal: Goal = UP): Sketch => ({
    needs: [needs],
    state,
    goal,
    onDependencyRestart: 'restart',
  })

  test.each<[string, Sketch, boolean]>([
    ['in backoff', { state: 'backoff' }, true],
    ['stopping to come up again', { state: 'stopping to wait' }, true],
    ['to restart', { state: 'running', goal: RESTARTING }, true],
    ['replaced by a reload', { state: 'running', goal: down('replaced') }, true],
    ['to be stopped manually', { state: 'running', goal: BY_HAND }, true],
    ['stopping after a failure', { state: 'failing' }, false],
    ['to stop because the start failed', { state: 'running', goal: down('start_failed') }, false],
    ['running', { state: 'running' }, false],
    ['failed', { state: 'failed', hasRun: true }, false],
    ['stopped manually', { state: 'stopped', goal: BY_HAND, hasRun: true }, false],
    ['waiting for its first start', { state: 'waiting' }, false],
    ['waiting to start again', { state: 'waiting', hasRun: true }, true],
  ])('restarts the followers of a dependency that is %s: %o', (_title, dependency, restarts) => {
    const actions = restartFollowers(snapshotOf({ db: dependency, web: follower('db') }))
    expect(actionsOf(actions)).toEqual(restarts ? ['set_goal web → restarting'] : [])
  })

  //  web ── migrate (task) ── db
  test('restarts followers through a completed task, and a completed task that follows', () => {
    const through = (migrate: Sketch) =>
      actionsOf(
        restartFollowers(
          snapshotOf({
            db: { state: 'backoff' },
            migrate: { kind: 'task', state: 'completed', needs: ['db'], ...migrate },
            web: follower('migrate:completed_successfully'),
          }),
        ),
      )
    expect(through({})).toEqual(['set_goal web → restarting'])
    expect(through({ onDependencyRestart: 'restart' })).toEqual([
      'set_goal migrate → restarting',
      'set_goal web → restarting',
    ])
    expect(through({ state: 'failed' })).toEqual([])
  })

  test('makes followers part of the request', () => {
    const db: Sketch = { state: 'running', goal: RESTARTING, request: Symbol('restart') }
    expect(actionsOf(restartFollowers(snapshotOf({ db, web: follower('db') })))).toEqual([
      'set_goal web → restarting',
      'set_request web → restart',
    ])
  })

  test('restarts followers of followers, but no other processes and none that are down', () => {
    const snapshot = snapshotOf({
      db: { state: 'backoff' },
      api: follower('db'),
      web: follower('api'),
      log: { state: 'running', needs: ['db'] },
      late: follower('db', 'waiting'),
      held: follower('db', 'running', BY_HAND),
    })
    expect(actionsOf(restartFollowers(snapshot))).toEqual(['set_goal api → restarting', 'set_goal web → restarting'])
    expect(restartFollowers({ ...snapshot, phase: 'stopping' })).toEqual([])
  })
})

describe('finishRestarts', () => {
  test.each<[string, Sketch, string[]]>([
    ['that waits', { state: 'waiting' }, ['set_goal a → up']],
    ['that has ended', { state: 'completed' }, ['set_goal a → up', 'reset a']],
    ['that still runs', { state: 'running' }, []],
    ['whose process group still lives', { state: 'completed', isFullyStopped: false }, []],
    ['that may have orphans', { state: 'completed', needsReaping: true }, []],
  ])('handles a process %s', (_title, sketch, expected) => {
    expect(actionsOf(finishRestarts(snapshotOf({ a: { ...sketch, goal: RESTARTING } })))).toEqual(expected)
    expect(finishRestarts(snapshotOf({ a: { ...sketch, goal: BY_HAND } }))).toEqual([])
  })
})

test.each<[StateName, Goal, boolean]>([
  ['running', UP, true],
  ['starting', UP, false],
  ['backoff', UP, true],
  ['failed', UP, true],
  ['waiting', UP, true],
  ['running', RESTARTING, false],
])('a process in state %s with the goal %o is settled: %s', (state, goal, expected) => {
  const { graph } = snapshotOf({ a: { state, goal, needs: ['db'] }, db: { state: 'stopped' } })
  expect(graph.named(['a']).map((process) => isSettled(process, graph))).toEqual([expected])
})
