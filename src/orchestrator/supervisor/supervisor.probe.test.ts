import { describe, expect, test } from 'vitest'
import { probeOf } from '../../../test/rig/supervised-graph.ts'
import { openRig, supervise } from '../../../test/rig/supervise.ts'
import { freePort } from '../../../test/rig/servers.ts'

const ready = (name: string) => ({ name, condition: 'ready' }) as const

describe('readiness, on real children (O-36)', () => {
  test('tcp_socket: ready when it listens, and again after a restart; its dependents start once', async () => {
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

  test('notify: ready when the child writes a newline to NOTIFY_FD; one without the probe has no such variable', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'a', ...rig.program('a'), readinessProbe: probeOf({ type: 'notify' }) },
      { name: 'b', ...rig.program('b'), dependsOn: [ready('a')] },
    ])
    const a = await rig.nextStart('a')
    expect(rig.starts('b')).toBe(0)
    await a.notify()
    const b = await rig.nextStart('b')
    expect(graph.story('process_ready')).toEqual(['ready a'])
    expect(await b.environment()).not.toHaveProperty('NOTIFY_FD')
  })

  test('exec: asked again and again; failing after success makes it unhealthy, which delays a new dependent', async () => {
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
    expect(await graph.next('process_unhealthy', 'a')).toMatchObject({ reason: '/bin/sh exited with code 5' })
    await (await rig.nextStart('probe')).exit(0)
    await graph.next('process_ready', 'a')
    expect(rig.starts('a')).toBe(1)
  })
})
