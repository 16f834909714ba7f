import { describe, expect, test } from 'vitest'
import { freePort } from '../../../test/rig/servers.ts'
import { openRig, probeOf, ready, supervise } from '../../../test/rig/orchestrator/supervised-graph.ts'
import { explain } from './waiting/explain.ts'

describe('the report of a wait (O-46)', () => {
  // thirty users ── db
  test('is one line with the last answer, and ends with the wait', async () => {
    const rig = await openRig()
    const port = await freePort()
    const users = Array.from({ length: 30 }, (_, index) => `user${index}`)
    const graph = supervise([
      { name: 'db', ...rig.program('db'), readinessProbe: probeOf({ type: 'tcp_socket', host: '127.0.0.1', port }) },
      ...users.map((name) => ({ name, command: 'sleep', args: ['60'], dependsOn: [ready('db')] })),
    ])
    const { cause, text, waiters } = await graph.next('waiting')
    expect({ cause, waiters }).toEqual({ cause: 'db', waiters: users })
    expect(text).toMatch(
      new RegExp(`^waiting for db: not ready, tcp_socket 127.0.0.1:${port}: connection refused \\(\\d+ attempts\\)$`),
    )
    expect(explain(graph.supervisor.snapshot, 'user7')?.replace(/\d+ attempts/, '')).toBe(
      text.replace(/\d+ attempts/, ''),
    )
    await (await rig.nextStart('db')).listen(port)
    await graph.next('all_ready')
    expect(explain(graph.supervisor.snapshot, 'user7')).toBeNull()
    expect(graph.eventSequence('waiting')).toEqual(['waiting'])
  })

  //  web ── db
  test('names the process that has not stopped, and those that stop after it', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'db', ...rig.program('db') },
      { name: 'web', ...rig.program('web'), dependsOn: [ready('db')], shutdown: { timeoutMs: 1500 } },
    ])
    const web = await rig.nextStart('web')
    await web.keep('SIGTERM')
    const ended = graph.stop()
    await web.nextSignal()
    expect(await graph.next('waiting')).toMatchObject({
      cause: 'web',
      text: 'waiting for web: stopping for 1 s (SIGTERM; SIGKILL after 1.5 s)',
      waiters: ['db'],
    })
    expect(await ended).toEqual({ exitCode: 0 })
  })

  test('names a task that others wait for', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'migrate', kind: 'task', ...rig.program('migrate') },
      {
        name: 'api',
        command: 'sleep',
        args: ['60'],
        dependsOn: [{ name: 'migrate', condition: 'completed_successfully' }],
      },
    ])
    expect(await graph.next('waiting')).toEqual({
      type: 'waiting',
      cause: 'migrate',
      text: 'waiting for "migrate" to complete',
      waiters: ['api'],
    })
    await (await rig.nextStart('migrate')).exit(0)
    await graph.next('all_ready')
  })
})
