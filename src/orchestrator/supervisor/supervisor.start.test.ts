import { describe, expect, test } from 'vitest'
import { openRig, probeOf, ready, supervise } from '../../../test/rig/orchestrator/supervised-graph.ts'
import { freePort } from '../../../test/rig/servers.ts'

const log = (pattern: RegExp) => probeOf({ type: 'log_line', pattern })

describe('the start (O-22)', () => {
  //  a   b ── c
  test('independent processes start at the same time, in the order of the file', async () => {
    const graph = supervise([
      { name: 'zeta', command: 'sleep', args: ['60'] },
      { name: '10', command: 'sleep', args: ['60'] },
      { name: 'alpha', command: 'sleep', args: ['60'] },
      { name: '9', command: 'sleep', args: ['60'] },
    ])
    await graph.next('all_ready')
    expect(graph.eventSequence('process_started')).toEqual(['started zeta', 'started 10', 'started alpha', 'started 9'])
    const pids = graph.events.flatMap((event) => (event.type === 'process_started' ? [event.pid] : []))
    expect(new Set(pids).size).toBe(4)
  })

  //  c ── b ── a
  test('a dependent starts when its dependency is ready, and not earlier', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'c', ...rig.program('c'), dependsOn: [ready('b')] },
      { name: 'b', ...rig.program('b'), dependsOn: [ready('a')], readinessProbe: log(/^up$/) },
      { name: 'a', ...rig.program('a'), readinessProbe: log(/^listening on \d+$/) },
    ])
    const a = await rig.nextStart('a')
    await a.print('listening on nothing\n')
    expect(graph.eventSequence('process_started')).toEqual(['started a'])
    await a.printError('listening on 80\n')
    const b = await rig.nextStart('b')
    expect(graph.eventSequence('process_started', 'process_ready')).toEqual(['started a', 'ready a', 'started b'])
    await b.print('\u001b[32mup\u001b[0m\n')
    await rig.nextStart('c')
    const { count } = await graph.next('all_ready')
    expect(count).toBe(3)
  })

  test('a process without a readiness probe is ready when it runs', async () => {
    const graph = supervise([
      { name: 'b', command: 'sleep', args: ['60'], dependsOn: [ready('a')] },
      { name: 'a', command: 'sleep', args: ['60'] },
    ])
    await graph.next('all_ready')
    expect(graph.eventSequence('process_started', 'process_ready')).toEqual(['started a', 'started b'])
  })

  test('a dependency that is not in the graph is treated as met', async () => {
    const graph = supervise([{ name: 'a', command: 'sleep', args: ['60'], dependsOn: [ready('disabled')] }])
    await graph.next('process_started', 'a')
    expect(await graph.stop()).toEqual({ exitCode: 0 })
  })
})

describe('waiting for a dependency (O-36)', () => {
  test('a dependent waits during restarts of its dependency', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'db', ...rig.program('db'), readinessProbe: log(/^ready$/) },
      { name: 'web', ...rig.program('web'), dependsOn: [ready('db')] },
    ])
    const first = await rig.nextStart('db')
    await first.exit(1)
    const second = await rig.nextStart('db')
    expect(rig.starts('web')).toBe(0)
    await second.print('ready\n')
    await rig.nextStart('web')
    expect(graph.eventSequence('process_started', 'process_exited', 'process_ready')).toEqual([
      'started db',
      'exited db',
      'started db',
      'ready db',
      'started web',
    ])
  })

  test('startup_timeout_ms fails the start and shows the last 20 lines', async () => {
    const lines = Array.from({ length: 25 }, (_, index) => `line ${index}`)
    const graph = supervise([
      { name: 'other', command: 'sleep', args: ['60'] },
      {
        name: 'db',
        command: `${lines.map((line) => `echo ${line}`).join(';')}; sleep 60`,
        shell: true,
        startupTimeoutMs: 2000,
        readinessProbe: log(/^never$/),
      },
      { name: 'web', command: 'true', dependsOn: [ready('db')] },
    ])
    const failed = await graph.next('process_failed', 'db')
    const reason = 'not ready after 2 s: log_line /^never$/ has not appeared'
    expect(failed).toMatchObject({ reason, lastLines: lines.slice(5) })
    expect(await graph.ended).toEqual({ exitCode: 1 })
    expect(graph.eventSequence('process_skipped')).toEqual(['skipped web'])
    expect(graph.events).toContainEqual({
      type: 'stopping',
      reason: { type: 'start_failed', process: 'db', cause: 'startup_timeout', message: reason },
    })
  })

  test('the error of a time-out names the target of the probe, its attempts and its last answer (O-46)', async () => {
    const port = await freePort()
    const graph = supervise([
      {
        name: 'db',
        command: 'sleep',
        args: ['60'],
        startupTimeoutMs: 500,
        readinessProbe: probeOf({ type: 'tcp_socket', host: '127.0.0.1', port }),
      },
    ])
    const { reason } = await graph.next('process_failed', 'db')
    const form = `^not ready after 500 ms: tcp_socket 127.0.0.1:${port}: connection refused \\(\\d+ attempts?\\)$`
    expect(reason).toMatch(new RegExp(form))
  })

  test('startup_timeout_ms covers all starts of a process that restarts', async () => {
    const graph = supervise([
      { name: 'db', command: 'echo no', shell: true, startupTimeoutMs: 2000, readinessProbe: log(/^never$/) },
      { name: 'web', command: 'true', dependsOn: [ready('db')] },
    ])
    const { lastLines } = await graph.next('process_failed', 'db')
    expect(lastLines[0]).toBe('no')
    expect(lastLines.length).toBeGreaterThan(1)
    expect(await graph.ended).toEqual({ exitCode: 1 })
  })

  test('startup_timeout_ms of a process without waiting dependents affects no other process', async () => {
    const graph = supervise([
      { name: 'slow', command: 'sleep', args: ['60'], startupTimeoutMs: 50, readinessProbe: log(/^never$/) },
      { name: 'other', command: 'sleep', args: ['60'] },
    ])
    await graph.next('process_stopped', 'slow')
    expect(graph.eventSequence('stopping', 'process_stopped')).toEqual(['stopped slow'])
    expect(await graph.stop()).toEqual({ exitCode: 0 })
  })
})
