import { describe, expect, test } from 'vitest'
import {
  backoff,
  db,
  dbText,
  down,
  isCompleted,
  isReady,
  NOW,
  ready,
  running,
  type Sketch,
  type Sketches,
  type Snapshot,
  snapshotOf,
  stopped,
  stopping,
  tcp,
  unhealthy,
  waiting,
} from '../../../../test/rig/orchestrator/explained-snapshot.ts'
import { isUnsettled, waitsOf } from './waits.ts'

describe('waitsOf (O-46)', () => {
  const summary = (sketches: Sketches, external: Partial<Snapshot['external']> = {}) =>
    waitsOf(snapshotOf(sketches, external)).map(({ cause, waiters, everyMs }) => [cause, waiters, everyMs])

  test('is one wait for each root cause, whatever the number of processes that wait for it', () => {
    const users = Array.from({ length: 30 }, (_, index) => `user${index}`)
    const sketches = Object.fromEntries(users.map((name) => [name, { state: waiting, dependsOn: isReady('mid') }]))
    const waits = waitsOf(snapshotOf({ db, mid: { state: waiting, dependsOn: isReady('db') }, ...sketches }))
    expect(waits).toEqual([
      { cause: 'db', since: NOW, text: `waiting for ${dbText}`, waiters: ['mid', ...users], everyMs: 10_000 },
    ])
  })

  test('lists a process under each of its causes', () => {
    const other = { state: running, kind: 'task' } as const
    const a = { state: waiting, dependsOn: [...isReady('db'), ...isCompleted('other')] }
    expect(summary({ db, other, a })).toEqual([
      ['db', ['a'], 10_000],
      ['other', ['a'], 10_000],
    ])
  })

  test.each<[string, Sketches, unknown[]]>([
    ['a process that is not ready', { db }, [['db', [], 10_000]]],
    ['an unhealthy process, rarely', { db: { ...db, state: unhealthy } }, [['db', [], 60_000]]],
    [
      'an unhealthy process that another waits for',
      { db: { ...db, state: unhealthy }, a: { state: waiting, dependsOn: isReady('db') } },
      [['db', ['a'], 10_000]],
    ],
    [
      'a process that was stopped by hand, once',
      { db: { state: stopped, goal: down }, a: { state: waiting, dependsOn: isReady('db') } },
      [['db', ['a'], Infinity]],
    ],
    [
      'a process that stops, with those that stop after it',
      { db: { state: ready, goal: down }, a: { state: stopping, goal: down, dependsOn: isReady('db') } },
      [['a', ['db'], 10_000]],
    ],
    ['no task that runs for itself', { task: { state: running, kind: 'task' } }, []],
    ['no backoff that delays no other process', { db: { state: backoff } }, []],
    ['no process that is up or down', { db: { state: ready }, a: { state: stopped, goal: down } }, []],
  ])('contains %s', (_title, sketches, expected) => {
    expect(summary(sketches)).toEqual(expected)
  })

  test('says that an unhealthy process for which no other waits is unhealthy', () => {
    const [wait] = waitsOf(snapshotOf({ db: { ...db, state: unhealthy } }))
    expect(wait?.text).toBe(dbText.replace('db: not ready, ', 'db is still unhealthy: '))
  })

  test('contains the MQTT broker while it is checked', () => {
    const user = { state: waiting, usesExternal: true }
    expect(summary({ user }, { state: 'checking' })).toEqual([[null, ['user'], 10_000]])
    expect(summary({ user: { state: running } }, { state: 'reachable' })).toEqual([])
  })

  test.each<[boolean, Sketch]>([
    [false, { state: ready, readinessProbe: tcp }],
    [false, { state: running }],
    [false, { state: stopped, goal: down }],
    [true, db],
    [true, { state: waiting }],
    [true, { state: backoff }],
    [true, { state: unhealthy }],
    [true, { state: ready, goal: down }],
  ])('may exist: %s for %j', (expected, sketch) => {
    const [managed] = snapshotOf({ a: sketch }).graph.all
    expect(managed !== undefined && isUnsettled(managed)).toBe(expected)
  })
})
