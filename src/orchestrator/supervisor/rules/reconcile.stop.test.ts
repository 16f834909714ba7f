import { describe, expect, test } from 'vitest'
import {
  actionsOf,
  BY_HAND,
  down,
  type Sketch,
  snapshotOf,
  type StateName,
} from '../../../../test/rig/orchestrator/rule-snapshot.ts'
import type { ProcessSketch } from '../../../../test/rig/orchestrator/supervised-graph.ts'
import { endRun, stopProcesses } from './reconcile.ts'
import type { ReconciledProcess, Snapshot } from './snapshot.ts'
import { type DownReason, UP } from './state.ts'

describe('stopProcesses', () => {
  const phase = 'stopping'
  const goal = down('shutting_down')

  test.each<[StateName, string | null, string | null]>([
    ['waiting', 'stop a → stopped', null],
    ['starting', 'stop a → stopped', 'stop a → waiting'],
    ['running', 'stop a → stopped', 'stop a → waiting'],
    ['ready', 'stop a → stopped', 'stop a → waiting'],
    ['unhealthy', 'stop a → stopped', 'stop a → waiting'],
    ['backoff', 'stop a → stopped', 'stop a → waiting'],
    ['stopping', null, null],
    ['stopping to wait', 'stop a → stopped', null],
    ['stopped', null, null],
    ['completed', null, null],
    ['disabled', null, null],
  ])('stops a process in state %s: %s, to restart: %s', (state, permanently, toRestart) => {
    const stopsFor = (reason: DownReason) => actionsOf(stopProcesses(snapshotOf({ a: { state, goal: down(reason) } })))
    expect(stopsFor('by_hand')).toEqual(permanently === null ? [] : [permanently])
    expect(stopsFor('restarting')).toEqual(toRestart === null ? [] : [toRestart])
    expect(stopProcesses(snapshotOf({ a: { state, goal: UP }, b: { state: 'running' } }))).toEqual([])
  })

  //  web ── migrate (task) ── db
  test('stops dependents first, even through a completed task', () => {
    const web: Sketch = { state: 'running', goal, needs: ['migrate:completed_successfully'] }
    const migrate: Sketch = { kind: 'task', state: 'completed', goal, needs: ['db'] }
    const db: Sketch = { state: 'running', goal }
    expect(actionsOf(stopProcesses(snapshotOf({ db, migrate, web }, { phase })))).toEqual(['stop web → stopped'])
    const webStops = { ...web, state: 'stopping' } as const
    expect(stopProcesses(snapshotOf({ db, migrate, web: webStops }, { phase }))).toEqual([])
    const webLingers = { ...web, state: 'stopped', isFullyStopped: false } as const
    expect(stopProcesses(snapshotOf({ db, migrate, web: webLingers }, { phase }))).toEqual([])
    const webIsGone = { ...web, state: 'stopped' } as const
    expect(actionsOf(stopProcesses(snapshotOf({ db, migrate, web: webIsGone }, { phase })))).toEqual([
      'stop db → stopped',
    ])
    expect(actionsOf(stopProcesses(snapshotOf({ db, web }, { phase: 'killed' })))).toHaveLength(2)
  })

  //  web ── queue ── db
  test('stops a dependent first although a process between them stays up', () => {
    const sketches: Record<string, Sketch> = {
      db: { state: 'running', goal: BY_HAND },
      queue: { state: 'running', needs: ['db'] },
      web: { state: 'running', goal: BY_HAND, needs: ['queue'] },
    }
    expect(actionsOf(stopProcesses(snapshotOf(sketches)))).toEqual(['stop web → stopped'])
  })

  test('stops a dependency although a dependent stays up', () => {
    const sketches: Record<string, Sketch> = {
      db: { state: 'running', goal: BY_HAND },
      web: { state: 'running', needs: ['db'] },
    }
    expect(actionsOf(stopProcesses(snapshotOf(sketches)))).toEqual(['stop db → stopped'])
  })

  test('stops a process in backoff without waiting for its dependents', () => {
    const sketches: Record<string, Sketch> = {
      db: { state: 'backoff', goal },
      web: { state: 'stopping', needs: ['db'], goal },
    }
    expect(actionsOf(stopProcesses(snapshotOf(sketches, { phase })))).toEqual(['stop db → stopped'])
  })

  test('reaps orphans when the goal is down, or when no process is running any more', () => {
    const task: Sketch = { kind: 'task', state: 'completed', needsReaping: true }
    expect(stopProcesses(snapshotOf({ task, b: { state: 'running' } }))).toEqual([])
    expect(actionsOf(stopProcesses(snapshotOf({ task: { ...task, goal: BY_HAND } })))).toEqual(['reap task'])
    expect(actionsOf(stopProcesses(snapshotOf({ task })))).toEqual(['reap task'])
    expect(stopProcesses(snapshotOf({ task, b: { state: 'stopped', goal: BY_HAND } }))).toEqual([])
  })
})

describe('endRun', () => {
  const schedule = '* * * * *'
  const watch: ProcessSketch['watch'] = { folder: '/', paths: ['src'], ignore: [], debounceMs: 200 }
  const ended: Sketch = { state: 'completed' }
  const rows: readonly [string, Record<string, Sketch>, Partial<Snapshot<ReconciledProcess>>, boolean][] = [
    ['all ended', { a: ended, b: { state: 'failed' } }, {}, true],
    ['all ended or left out', { a: ended, b: { state: 'disabled' } }, {}, true],
    ['one waits', { a: ended, b: {} }, {}, false],
    ['a process group lives', { a: { ...ended, isFullyStopped: false } }, {}, false],
    ['orphans are possible', { a: { ...ended, needsReaping: true } }, {}, false],
    ['stopped by hand', { a: { state: 'stopped', goal: BY_HAND } }, {}, false],
    ['stopped by hand, then with all', { a: { state: 'stopped', goal: BY_HAND } }, { phase: 'stopping' }, true],
    ['a process failed when a command started it', { a: ended, b: { state: 'failed' } }, { isHeld: true }, false],
    ['… and was corrected', { a: ended }, { isHeld: true }, true],
    ['during a reload', { a: ended }, { isReloading: true }, false],
    ['a process that watches has ended', { a: ended, b: { ...ended, watch } }, {}, false],
    ['a task with a schedule has not run', { a: ended, b: { state: 'scheduled', schedule } }, {}, false],
    ['a task with a schedule has failed', { a: ended, b: { state: 'failed', schedule } }, {}, false],
    ['a process that watches is left out', { a: ended, b: { state: 'disabled', watch } }, {}, true],
    ['a process that watches has ended, then all stop', { a: { ...ended, watch } }, { phase: 'stopping' }, true],
    [
      'a process that watches has failed the start',
      { a: { state: 'stopped', goal: down('start_failed') }, b: { state: 'failed', watch } },
      {},
      true,
    ],
  ]

  test.each(rows)('decides by this case: %s', (_title, sketches, over, ends) => {
    expect(actionsOf(endRun(snapshotOf(sketches, over)))).toEqual(ends ? ['end'] : [])
  })
})
