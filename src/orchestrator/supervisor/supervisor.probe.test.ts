import { describe, expect, test } from 'vitest'
import { freePort } from '../../../test/rig/servers.ts'
import { openRig, probeOf, ready, supervise } from '../../../test/rig/orchestrator/supervised-graph.ts'

describe('the readiness probe (O-36)', () => {
  test('tcp_socket succeeds when the child listens, even after a restart; dependents start once', async () => {
    const rig = await openRig()
    const port = await freePort()
    const graph = supervise([
      { name: 'a', ...rig.program('a'), readinessProbe: probeOf({ type: 'tcp_socket', host: '127.0.0.1', port }) },
      { name: 'b', ...rig.program('b'), dependsOn: [ready('a')] },
    ])
    const first = await rig.nextStart('a')
    expect(rig.starts('b')).toBe(0)
    await first.listen(port)
    await graph.next('process_ready', 'a')
    await rig.nextStart('b')
    await first.exit(1)
    await (await rig.nextStart('a')).listen(port)
    await graph.next('process_ready', 'a')
    expect(rig.starts('b')).toBe(1)
  })

  test('notify succeeds when the child writes a newline to NOTIFY_FD; without the probe there is no such variable', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'a', ...rig.program('a'), readinessProbe: probeOf({ type: 'notify' }) },
      { name: 'b', ...rig.program('b'), dependsOn: [ready('a')] },
    ])
    const a = await rig.nextStart('a')
    expect(rig.starts('b')).toBe(0)
    await a.notify()
    const b = await rig.nextStart('b')
    expect(graph.eventSequence('process_ready')).toEqual(['ready a'])
    expect(await b.environment()).not.toHaveProperty('NOTIFY_FD')
  })

  test('exec runs periodically; a failure after success makes the process unhealthy, which delays a new dependent', async () => {
    const rig = await openRig()
    const [program, path] = [rig.program('probe').command, rig.program('probe').args[0] ?? '']
    const command = ['/bin/sh', '-c', `RIG_NAME=probe exec "${program}" "${path}"`] as const
    const graph = supervise([
      { name: 'a', ...rig.program('a'), readinessProbe: probeOf({ type: 'exec', command }, { timeoutMs: 60_000 }) },
    ])
    await (await rig.nextStart('probe')).exit(1)
    await (await rig.nextStart('probe')).exit(0)
    await graph.next('process_ready', 'a')
    await (await rig.nextStart('probe')).exit(5)
    expect(await graph.next('process_unhealthy', 'a')).toMatchObject({ reason: 'exec /bin/sh: exited with code 5' })
    await (await rig.nextStart('probe')).exit(0)
    expect(await graph.next('process_ready', 'a')).toMatchObject({ wasUnhealthy: true })
    expect(rig.starts('a')).toBe(1)
  })
})
