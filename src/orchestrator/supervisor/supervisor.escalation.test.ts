import { describe, expect, test } from 'vitest'
import type { ChildRig } from '../../../test/rig/orchestrator/steerable-child.ts'
import {
  configOf,
  follows,
  openRig,
  probeOf,
  ready,
  started,
  supervise,
} from '../../../test/rig/orchestrator/supervised-graph.ts'

/** Returns a liveness probe that runs a steerable child: the test decides its result. */
function steeredLiveness(rig: ChildRig) {
  const { command, args } = rig.program('probe')
  const exec = ['/bin/sh', '-c', `RIG_NAME=probe exec "${command}" "${args[0]}"`] as const
  return probeOf({ type: 'exec', command: exec }, { timeoutMs: 60_000, failureThreshold: 2 })
}

describe('a permanent failure', () => {
  test('follows more than max_attempts restarts within window_ms', async () => {
    const graph = supervise([
      { name: 'a', command: 'exit 1', shell: true, restart: { maxAttempts: 3, windowMs: 60_000, resetAfterMs: 0 } },
    ])
    const { reason } = await graph.next('process_failed', 'a')
    expect(reason).toBe('exited with code 1, after 3 restarts within 60000 ms')
    expect(graph.eventSequence('process_started')).toHaveLength(4)
  })

  test('affects no other process with isolate, and the exit code at the end is 1', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'a', command: 'exit 1', shell: true, restart: { maxAttempts: 1 } },
      { name: 'b', ...rig.program('b'), restart: { policy: 'never' } },
    ])
    const b = await rig.nextStart('b')
    await graph.next('process_failed', 'a')
    await b.exit(0)
    expect(await graph.ended).toEqual({ exitCode: 1 })
    expect(graph.eventSequence('stopping')).toEqual([])
  })

  //  web ── db      bad (when_failed: stop)
  test('stops everything in order with stop, and the exit code is 1', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'db', ...rig.program('db') },
      { name: 'web', ...rig.program('web'), dependsOn: [started('db')] },
      { name: 'bad', ...rig.program('bad'), restart: { maxAttempts: 1 }, whenFailed: 'stop' },
    ])
    await Promise.all([rig.nextStart('db'), rig.nextStart('web')])
    await (await rig.nextStart('bad')).exit(4)
    await (await rig.nextStart('bad')).exit(5)
    expect(await graph.ended).toEqual({ exitCode: 1 })
    expect(graph.eventSequence('process_stopped')).toEqual(['stopped web', 'stopped db'])
    expect(graph.events).toContainEqual({
      type: 'stopping',
      reason: { type: 'process_failed', process: 'bad', reason: 'exited with code 5, after 1 restart' },
    })
  })

  test('a startup time-out stops everything with when_failed: stop', async () => {
    const probe = probeOf({ type: 'log_line', pattern: /^never$/ })
    const graph = supervise([
      { name: 'a', command: 'sleep', args: ['1000'], startupTimeoutMs: 50, readinessProbe: probe, whenFailed: 'stop' },
      { name: 'b', command: 'sleep', args: ['1000'] },
    ])
    expect(await graph.ended).toEqual({ exitCode: 1 })
    expect(graph.eventSequence('process_failed', 'process_stopped').sort()).toEqual([
      'failed a',
      'stopped a',
      'stopped b',
    ])
  })
})

describe('the liveness probe', () => {
  test('stops the process after consecutive failures up to its threshold, and restarts it as after an exit', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a'), livenessProbe: steeredLiveness(rig) }])
    const first = await rig.nextStart('a')
    await first.keep('SIGTERM')
    for (const code of [1, 0, 1]) await (await rig.nextStart('probe')).exit(code)
    expect(graph.eventSequence('liveness_failed')).toEqual([])
    await (await rig.nextStart('probe')).exit(7)
    expect(await first.nextSignal()).toBe('SIGTERM')
    expect(rig.starts('a')).toBe(1)
    await first.exit(0)
    const second = await rig.nextStart('a')
    expect(graph.events).toContainEqual({
      type: 'liveness_failed',
      process: 'a',
      reason: 'exec /bin/sh: exited with code 7',
      failures: 2,
      restarts: true,
    })
    expect(await graph.next('restart_scheduled', 'a')).toMatchObject({ attempt: 1 })
    expect(rig.running.filter((child) => child.name === 'a')).toEqual([second])
  })

  test('starts only after the process is ready', async () => {
    const rig = await openRig()
    supervise([
      {
        name: 'a',
        ...rig.program('a'),
        readinessProbe: probeOf({ type: 'log_line', pattern: /^up$/ }),
        livenessProbe: steeredLiveness(rig),
      },
    ])
    const a = await rig.nextStart('a')
    await a.print('not yet\n')
    expect(rig.starts('probe')).toBe(0)
    await a.print('up\n')
    await rig.nextStart('probe')
  })

  test('counts its failures as restarts, up to a permanent failure', async () => {
    const graph = supervise([
      {
        name: 'a',
        command: 'sleep',
        args: ['1000'],
        livenessProbe: probeOf({ type: 'exec', command: ['false'] }),
        restart: { policy: 'on_failure', maxAttempts: 2 },
      },
    ])
    expect(await graph.next('process_failed', 'a')).toMatchObject({
      reason: 'failed its liveness probe: exec false: exited with code 1, after 2 restarts',
    })
    expect(await graph.ended).toEqual({ exitCode: 1 })
    expect(graph.eventSequence('process_started')).toHaveLength(3)
  })

  test('does not restart a process that is stopped permanently in the meantime', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a'), livenessProbe: steeredLiveness(rig) }])
    const a = await rig.nextStart('a')
    await a.keep('SIGTERM')
    await (await rig.nextStart('probe')).exit(1)
    await (await rig.nextStart('probe')).exit(1)
    await a.nextSignal()
    const ended = graph.stop()
    await a.exit(0)
    expect(await ended).toEqual({ exitCode: 0 })
    expect([rig.starts('a'), rig.running]).toEqual([1, []])
  })
})

describe('on_dependency_restart "restart"', () => {
  //  web (restart) ── api (restart) ── db      log (ignore) ── db
  test('stops dependents in reverse order before the dependency starts, and starts them after it; others keep running', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'db', ...rig.program('db'), readinessProbe: probeOf({ type: 'log_line', pattern: /^up$/ }) },
      { name: 'api', ...rig.program('api'), dependsOn: [ready('db')], ...follows },
      { name: 'web', ...rig.program('web'), dependsOn: [ready('api')], ...follows },
      { name: 'log', ...rig.program('log'), dependsOn: [ready('db')] },
    ])
    const db = await rig.nextStart('db')
    await db.print('up\n')
    const [api, web, log] = [await rig.nextStart('api'), await rig.nextStart('web'), await rig.nextStart('log')]
    await api.keep('SIGTERM')
    await web.keep('SIGTERM')
    await db.exit(1)
    await web.nextSignal()
    expect(graph.eventSequence('process_stopping')).toEqual(['stopping web'])
    await web.exit(0)
    await api.nextSignal()
    expect(rig.starts('db')).toBe(1)
    await api.exit(0)
    const again = await rig.nextStart('db')
    expect([rig.starts('api'), rig.starts('web')]).toEqual([1, 1])
    await again.print('up\n')
    await rig.nextStart('api')
    await rig.nextStart('web')
    expect([rig.starts('log'), log.isGone]).toEqual([1, false])
    expect(graph.eventSequence('process_started').slice(-3)).toEqual(['started db', 'started api', 'started web'])
  })

  test('does not prevent a stop in the meantime, which stops everything, and nothing starts again', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'db', ...rig.program('db') },
      { name: 'api', ...rig.program('api'), dependsOn: [started('db')], ...follows },
    ])
    const [db, api] = [await rig.nextStart('db'), await rig.nextStart('api')]
    await api.keep('SIGTERM')
    await db.exit(1)
    await api.nextSignal()
    const ended = graph.stop()
    await api.exit(0)
    expect(await ended).toEqual({ exitCode: 0 })
    expect([rig.starts('db'), rig.starts('api'), rig.running]).toEqual([1, 1, []])
  })

  test('restarts dependents when a command restarts the dependency', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'db', ...rig.program('db') },
      { name: 'api', ...rig.program('api'), dependsOn: [started('db')], ...follows },
    ])
    const [db, api] = [await rig.nextStart('db'), await rig.nextStart('api')]
    const restarted = graph.supervisor.commands.restart(['db'])
    await Promise.all([db.gone, api.gone])
    await Promise.all([rig.nextStart('db'), rig.nextStart('api'), restarted])
    expect(graph.eventSequence('process_stopped', 'process_started').slice(2)).toEqual([
      'stopped api',
      'stopped db',
      'started db',
      'started api',
    ])
  })

  test('restarts dependents of a dependency that fails its liveness probe', async () => {
    const rig = await openRig()
    supervise([
      { name: 'db', ...rig.program('db'), livenessProbe: steeredLiveness(rig) },
      { name: 'api', ...rig.program('api'), dependsOn: [started('db')], ...follows },
    ])
    const [db, api] = [await rig.nextStart('db'), await rig.nextStart('api')]
    await (await rig.nextStart('probe')).exit(1)
    await (await rig.nextStart('probe')).exit(1)
    await Promise.all([db.gone, api.gone])
    await rig.nextStart('db')
    await rig.nextStart('api')
    expect([rig.starts('db'), rig.starts('api')]).toEqual([2, 2])
  })
})

describe('a failure after everything was ready (O-39)', () => {
  test('affects no other process if a task that runs again fails', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'job', kind: 'task', ...rig.program('job') },
      { name: 'web', ...rig.program('web') },
    ])
    const web = await rig.nextStart('web')
    await (await rig.nextStart('job')).exit(0)
    await graph.next('all_ready')
    const started = graph.supervisor.commands.start(['job'])
    await (await rig.nextStart('job')).exit(1)
    await started
    await graph.next('process_failed', 'job')
    expect([web.isGone, graph.eventSequence('stopping')]).toEqual([false, []])
  })

  test('affects no other process if a command is not found, and the exit code is 1 if the run ends without a request', async () => {
    const rig = await openRig()
    const web = { name: 'web', ...rig.program('web'), restart: { policy: 'never' as const } }
    const graph = supervise([web])
    const child = await rig.nextStart('web')
    await graph.next('all_ready')
    await graph.supervisor.reload(configOf([web, { name: 'bad', command: 'no-such-program' }]))
    const { reason } = await graph.next('process_failed', 'bad')
    expect(reason).toContain('"no-such-program" was not found')
    expect([child.isGone, graph.eventSequence('stopping')]).toEqual([false, []])
    await child.exit(0)
    expect(await graph.ended).toEqual({ exitCode: 1 })
  })
})
