import { describe, expect, test } from 'vitest'
import {
  backoff,
  db,
  dbText,
  down,
  exit,
  failing,
  isCompleted,
  isReady,
  NOW,
  ready,
  running,
  type Sketch,
  type Sketches,
  snapshotOf,
  stopped,
  stopping,
  unhealthy,
  waiting,
} from '../../../../test/rig/orchestrator/explained-snapshot.ts'
import { probeOf } from '../../../../test/rig/orchestrator/supervised-graph.ts'
import { explain } from './explain.ts'
import { NOT_PROBED, type ProbeState } from '../probes/poll.ts'
import type { Goal } from '../rules/state.ts'

const http = probeOf({ type: 'http_get', url: 'http://me:secret@127.0.0.1:8080/readyz' })
const secretUrl = probeOf({ type: 'http_get', url: 'http://127.0.0.1/hunter22/status' })
const restarting: Goal = { type: 'down', reason: 'restarting' }

const probed = (probe: ProbeState | null, over: object = {}): Sketch => ({
  state: running,
  readinessProbe: { ...http, ...over },
  ...(probe === null ? {} : { probe }),
})

const crashed = { text: 'last exit: code 1', at: NOW - 4200 }

describe('explain after a restart', () => {
  test.each<[string, Sketch, string | null]>([
    ['a running process', { state: running, uptimeMs: 3000, lastRestart: crashed }, 'last exit: code 1, 4 s ago'],
    ['a ready process', { state: ready, uptimeMs: 3000, lastRestart: crashed }, 'last exit: code 1, 4 s ago'],
    [
      'an exit a moment ago',
      { state: ready, uptimeMs: 100, lastRestart: { text: 'last exit: SIGKILL', at: NOW - 120 } },
      'last exit: SIGKILL, 120 ms ago',
    ],
    [
      'a process whose probe fails',
      { ...probed(failing(7, 'answered 503')), uptimeMs: 3000, lastRestart: crashed },
      'readiness probe http_get http://me:***@127.0.0.1:8080/readyz: answered 503 (7 attempts); last exit: code 1, 4 s ago',
    ],
    ['an uptime of reset_after_ms', { state: ready, uptimeMs: 30_000, lastRestart: crashed }, null],
    ['a process without a restart', { state: ready, uptimeMs: 3000 }, null],
    ['a process without a child', { state: stopped, lastRestart: crashed }, null],
  ])('%s', (_case, sketch, text) => {
    expect(explain(snapshotOf({ web: sketch }), 'web')).toBe(text)
  })
})

describe('explain (O-46)', () => {
  const shown = 'readiness probe http_get http://me:***@127.0.0.1:8080/readyz'

  test.each<[string, Sketch, string | null]>([
    ['a failing probe', probed(failing(7, 'answered 503')), `${shown}: answered 503 (7 attempts)`],
    ['the first failed attempt', probed(failing(1, 'answered 503')), `${shown}: answered 503 (1 attempt)`],
    ['a probe without an answer', probed(NOT_PROBED), `${shown}: no answer yet`],
    [
      'a probe with an initial delay',
      probed(NOT_PROBED, { initialDelayMs: 5000 }),
      `${shown}: the first attempt follows in 5 s`,
    ],
    [
      'a success below the threshold',
      probed({ ...NOT_PROBED, successes: 1 }, { successThreshold: 3 }),
      `${shown}: succeeded 1 of 3 times`,
    ],
    [
      'a ready process whose probe has failed since',
      { ...probed(failing(2, 'no answer within 2 s'), { failureThreshold: 3 }), state: ready },
      'readiness probe failed 2 of 3 times: http_get http://me:***@127.0.0.1:8080/readyz: no answer within 2 s',
    ],
    [
      'an unhealthy process',
      { ...probed(failing(5, 'no answer within 2 s')), state: unhealthy },
      `${shown}: no answer within 2 s (5 attempts)`,
    ],
    [
      'an expected line',
      { state: running, readinessProbe: probeOf({ type: 'log_line', pattern: /ready/ }), probe: NOT_PROBED },
      'log_line /ready/ has not appeared',
    ],
    [
      'an expected notification',
      { state: running, readinessProbe: probeOf({ type: 'notify' }), probe: NOT_PROBED },
      'no notification on NOTIFY_FD yet',
    ],
    [
      'a target with the value of a secret variable, masked',
      {
        ...probed(failing(1, 'answered 401')),
        readinessProbe: secretUrl,
        env: { API_TOKEN: 'hunter22', MODE: 'status' },
      },
      'readiness probe http_get http://127.0.0.1/***/status: answered 401 (1 attempt)',
    ],
    ['a backoff', { state: backoff, forMs: 1000 }, 'restarts in 4 s (attempt 3): exited with code 1'],
    ['the end of a backoff', { state: backoff, forMs: 4800 }, 'restarts in 200 ms (attempt 3): exited with code 1'],
    ['a backoff that is over', { state: backoff, forMs: 5000 }, 'restarts soon (attempt 3): exited with code 1'],
    [
      'a stop',
      { state: stopping, goal: down, forMs: 3040, shutdown: { timeoutMs: 5000 } },
      'stopping for 3 s (SIGTERM; SIGKILL after 5 s)',
    ],
    [
      'a stop that takes too long',
      { state: stopping, goal: down, forMs: 6000, shutdown: { timeoutMs: 5000 } },
      'stopping for 6 s (SIGTERM; SIGKILL sent)',
    ],
    ['a failure', { state: { type: 'failed', reason: 'exited with code 2', exit } }, 'exited with code 2'],
    ['a skipped process', { state: { type: 'skipped', because: '"db" failed' } }, '"db" failed'],
    [
      'a failed run of a schedule',
      { state: { type: 'failed', reason: 'exited with code 2', exit }, kind: 'task', schedule: '@daily' },
      'last run failed: exited with code 2',
    ],
    [
      'a skipped run of a schedule',
      { state: { type: 'skipped', because: '"db" failed' }, kind: 'task', schedule: '@daily' },
      'last run skipped because "db" failed',
    ],
    [
      'a disabled process',
      { state: { type: 'disabled', because: 'was left out by --only' } },
      'was left out by --only',
    ],
    ['a ready process', { state: ready, readinessProbe: http }, null],
    ['a service without a probe', { state: running }, null],
    ['a stopped process', { state: stopped, goal: down }, null],
  ])('describes %s', (_title, sketch, expected) => {
    expect(explain(snapshotOf({ a: sketch }), 'a')).toBe(expected)
  })

  test.each<[string, Sketches, string]>([
    [
      'a dependency that is not ready',
      { db, a: { state: waiting, dependsOn: isReady('db') } },
      `waiting for ${dbText}`,
    ],
    [
      'a dependency that restarts',
      { db: { state: backoff, forMs: 1000 }, a: { state: waiting, dependsOn: isReady('db') } },
      'waiting for db: restarts in 4 s (attempt 3): exited with code 1',
    ],
    [
      'a dependency that was stopped by hand',
      { db: { state: stopped, goal: down }, a: { state: waiting, dependsOn: isReady('db') } },
      'waiting for db: stopped; "ponix-orchestrator start db" starts it',
    ],
    [
      'a dependency that stops to restart',
      { db: { state: stopping, goal: restarting, forMs: 2000 }, a: { state: waiting, dependsOn: isReady('db') } },
      'waiting for db: stopping for 2 s (SIGTERM; SIGKILL after 10 s)',
    ],
    [
      'a dependency that is about to stop',
      { db: { state: ready, goal: down }, a: { state: waiting, dependsOn: isReady('db') } },
      'waiting for db: about to stop',
    ],
    [
      'a task that runs',
      { task: { state: running, kind: 'task' }, a: { state: waiting, dependsOn: isCompleted('task') } },
      'waiting for "task" to complete',
    ],
    [
      'a chain, of which the first and the last process are named',
      {
        db,
        task: { state: waiting, kind: 'task', dependsOn: isReady('db') },
        api: { state: waiting, dependsOn: isCompleted('task') },
        a: { state: waiting, dependsOn: isReady('api') },
      },
      `waiting for "api", which waits for ${dbText}`,
    ],
    [
      'a task that waits',
      {
        db,
        task: { state: waiting, kind: 'task', dependsOn: isReady('db') },
        a: { state: waiting, dependsOn: isCompleted('task') },
      },
      `waiting for "task" to complete, which waits for ${dbText}`,
    ],
    [
      'the stop of a dependent',
      { a: { state: ready, goal: down }, web: { state: stopping, goal: down, forMs: 2000, dependsOn: isReady('a') } },
      'waiting for web: stopping for 2 s (SIGTERM; SIGKILL after 10 s)',
    ],
    [
      'the stop of an indirect dependent',
      {
        a: { state: ready, goal: down },
        task: { state: { type: 'completed', exit: { code: 0, signal: null } }, goal: down, dependsOn: isReady('a') },
        web: { state: stopping, goal: down, forMs: 2000, dependsOn: isCompleted('task') },
      },
      'waiting for web: stopping for 2 s (SIGTERM; SIGKILL after 10 s)',
    ],
    [
      'a dependent that restarts with it',
      { a: { state: waiting }, web: { state: stopping, goal: restarting, forMs: 2000, dependsOn: isReady('a') } },
      'waiting for web: stopping for 2 s (SIGTERM; SIGKILL after 10 s)',
    ],
  ])('names %s', (_title, sketches, expected) => {
    expect(explain(snapshotOf(sketches), 'a')).toBe(expected)
  })

  test('names the MQTT broker', () => {
    const user = { state: waiting, usesExternal: true }
    const external = { state: 'checking', failures: 3, answer: 'connection refused' } as const
    expect(explain(snapshotOf({ user }, external), 'user')).toBe(
      'waiting for the MQTT broker at [::1]:1883: connection refused (3 attempts)',
    )
    expect(explain(snapshotOf({ user }, { state: 'unchecked' }), 'user')).toBe(
      'waiting for the MQTT broker at [::1]:1883',
    )
  })
})
