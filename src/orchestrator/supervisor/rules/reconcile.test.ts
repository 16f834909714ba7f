import { describe, expect, test } from 'vitest'
import {
  actionsOf,
  BY_HAND,
  RESTARTING,
  type Sketch,
  snapshotOf,
  type StateName,
} from '../../../../test/rig/orchestrator/rule-snapshot.ts'
import { resumeSkipped } from './failure-rules.ts'
import { announceReady, checkExternal, finishStart, reconcile, startProcesses } from './reconcile.ts'
import type { ReconciledProcess, Snapshot } from './snapshot.ts'
import { UP } from './state.ts'

describe('checkExternal', () => {
  const check = (over: Parameters<typeof snapshotOf>[1], state: StateName = 'running') =>
    actionsOf(checkExternal(snapshotOf({ broker: { state } }, { phase: 'starting', external: 'unchecked', ...over })))

  test('checks the address once, when the process that provides it is ready', () => {
    expect(check({})).toEqual(['check_external'])
    expect(check({ external: 'checking' })).toEqual([])
    expect(check({ phase: 'stopping' })).toEqual([])
    expect(check({ providedBy: 'broker' })).toEqual(['check_external'])
    expect(check({ providedBy: 'broker' }, 'starting')).toEqual([])
  })

  test.each([
    ['unchecked', 'waiting', ['check_external']],
    ['unchecked', 'running', []],
    ['unreachable', 'skipped', ['forget_external']],
  ] as const)('concerns only users after the start: %s, user %s', (external, state, expected) => {
    const snapshot = snapshotOf({ user: { state, usesExternal: true } }, { external, phase: 'up' })
    expect(actionsOf(checkExternal(snapshot))).toEqual(expected)
  })

  test('fails the start if the address is unreachable, and skips its users later', () => {
    const up = snapshotOf({ user: { state: 'waiting', usesExternal: true } }, { external: 'unreachable' })
    expect(actionsOf(reconcile({ ...up, phase: 'starting' }))).toEqual(['fail_external'])
    const skip = 'skip user: the MQTT broker at 127.0.0.1:1 is unreachable'
    expect(actionsOf(reconcile(up))).toEqual([skip])
  })

  test('resumes skipped users when the address is reachable', () => {
    const skipped = snapshotOf({ user: { state: 'skipped', usesExternal: true } }, { external: 'unchecked' })
    expect(resumeSkipped(skipped)).toEqual([])
    expect(actionsOf(resumeSkipped({ ...skipped, external: 'reachable' }))).toEqual(['reset user'])
  })
})

describe('startProcesses', () => {
  test.each<[string, Sketch, Sketch, boolean]>([
    ['dependency met', { needs: ['db'] }, { state: 'running', goal: UP }, true],
    ['dependency pending', { needs: ['db'] }, { state: 'starting' }, false],
    ['dependency about to stop', { needs: ['db'] }, { state: 'running', goal: RESTARTING }, false],
    [
      'dependency completed although its goal is to be down',
      { needs: ['db:completed'] },
      { state: 'completed', goal: BY_HAND },
      true,
    ],
    ['its goal is to be down', { goal: BY_HAND }, {}, false],
    ['dependency left out', { needs: ['db:completed_successfully'] }, { state: 'disabled', goal: UP }, true],
    ['left out', { state: 'disabled' }, {}, false],
    ['backoff over', { state: 'backoff', backoffIsOver: true }, { state: 'failed' }, true],
    ['backoff not over', { state: 'backoff' }, {}, false],
    ['running', { state: 'running' }, {}, false],
    ['final', { state: 'stopped' }, {}, false],
  ])('decides by this state: %s', (_title, sketch, db, starts) => {
    const started = actionsOf(startProcesses(snapshotOf({ db: { goal: BY_HAND, ...db }, a: sketch })))
    expect(started).toEqual(starts ? ['start a'] : [])
  })

  //  web ── migrate (task) ── db
  test.each<[string, Sketch, boolean]>([
    ['is up', { state: 'running' }, true],
    ['is about to restart', { state: 'running', goal: RESTARTING }, false],
    ['is in backoff', { state: 'backoff' }, false],
    ['is stopped', { state: 'stopped', goal: BY_HAND }, false],
    ['has failed', { state: 'failed' }, true],
  ])('starts a process that follows through a completed task if the dependency %s: %s', (_title, db, starts) => {
    const migrate: Sketch = { kind: 'task', state: 'completed', needs: ['db'] }
    const needs = ['migrate:completed_successfully']
    const snapshot = snapshotOf({ db, migrate, web: { needs, onDependencyRestart: 'restart' }, other: { needs } })
    expect(actionsOf(startProcesses(snapshot))).toEqual(starts ? ['start web', 'start other'] : ['start other'])
  })

  test('does not start a dependency before the dependents that restart with it are down', () => {
    const db: Sketch = { state: 'backoff', backoffIsOver: true }
    const web: Sketch = { state: 'running', needs: ['db'] }
    expect(startProcesses(snapshotOf({ db, web: { ...web, goal: RESTARTING } }))).toEqual([])
    expect(actionsOf(startProcesses(snapshotOf({ db, web: { ...web, goal: BY_HAND } })))).toEqual(['start db'])
  })

  test('starts a user of the external address only when the address is reachable', () => {
    const sketches = { user: { usesExternal: true }, other: {} }
    const startsWith = (external: Snapshot<ReconciledProcess>['external']) =>
      actionsOf(startProcesses(snapshotOf(sketches, { external })))
    expect(startsWith('checking')).toEqual(['start other'])
    expect(startsWith('unreachable')).toEqual(['start other'])
    expect(startsWith('reachable')).toEqual(['start user', 'start other'])
  })
})

describe('announceReady', () => {
  test('announces once that every process is up', () => {
    const sketches: Record<string, Sketch> = {
      a: { state: 'running' },
      task: { kind: 'task', state: 'completed' },
      out: { state: 'disabled' },
      later: { kind: 'task', state: 'scheduled', schedule: '@daily' },
      failedRun: { kind: 'task', state: 'failed', schedule: '@daily' },
    }
    expect(actionsOf(announceReady(snapshotOf(sketches, { phase: 'starting' })))).toEqual(['announce_ready'])
    expect(actionsOf(announceReady(snapshotOf(sketches)))).toEqual(['announce_ready'])
    expect(announceReady(snapshotOf(sketches, { announced: 'ready' }))).toEqual([])
    expect(announceReady(snapshotOf(sketches, { phase: 'stopping' }))).toEqual([])
    const incomplete: Record<string, Sketch> = { ...sketches, b: { state: 'failed' }, c: { state: 'skipped' } }
    expect(announceReady(snapshotOf(incomplete, { phase: 'starting' }))).toEqual([])
    expect(actionsOf(announceReady(snapshotOf(incomplete)))).toEqual(['announce_incomplete'])
    expect(announceReady(snapshotOf(incomplete, { announced: 'incomplete' }))).toEqual([])
    expect(announceReady(snapshotOf({ ...incomplete, d: { state: 'backoff' } }))).toEqual([])
    expect(announceReady(snapshotOf({ b: { state: 'failed' } }))).toEqual([])
    const withTask = { ...sketches, task: { kind: 'task', state: 'running' } as const }
    expect(announceReady(snapshotOf(withTask, { phase: 'starting' }))).toEqual([])
  })
})

describe('finishStart', () => {
  test.each<[string, Record<string, Sketch>, boolean]>([
    ['every process has been up', { a: { state: 'running' }, b: { state: 'backoff' } }, true],
    ['one has never been up', { a: { state: 'running' }, b: { state: 'backoff', hasBeenUp: false } }, false],
    [
      'one that has never been up has ended',
      { a: { state: 'running' }, b: { state: 'failed', hasBeenUp: false } },
      true,
    ],
    ['one is left out', { a: { state: 'running' }, b: { state: 'disabled', hasBeenUp: false } }, true],
  ])('decides by this case: %s', (_title, sketches, isOver) => {
    const given = Object.entries(sketches).map(([name, sketch]) => [name, { hasBeenUp: true, ...sketch }] as const)
    const snapshot = snapshotOf(Object.fromEntries(given), { phase: 'starting' })
    expect(actionsOf(finishStart(snapshot))).toEqual(isOver ? ['finish_start'] : [])
    expect(finishStart({ ...snapshot, phase: 'up' })).toEqual([])
  })
})
