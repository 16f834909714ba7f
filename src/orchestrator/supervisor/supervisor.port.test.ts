import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { describe, expect, test } from 'vitest'
import { freePort } from '../../../test/rig/servers.ts'
import { openRig, probeOf, supervise } from '../../../test/rig/orchestrator/supervised-graph.ts'
import { listen } from '../../../test/rig/tcp-proxy.ts'

const tcp = (port: number) => probeOf({ type: 'tcp_socket', host: '127.0.0.1', port })

describe('a readiness probe of a port that was in use before the child started (O-46)', () => {
  test('warns once, names the owner, and counts only a socket of the child', async () => {
    const rig = await openRig()
    const other = createServer((peer) => peer.destroy())
    const port = await listen(other)
    const graph = supervise([
      { name: 'web', ...rig.program('web'), readinessProbe: tcp(port) },
      { name: 'user', ...rig.program('user'), dependsOn: [{ name: 'web', condition: 'ready' }] },
    ])
    const web = await rig.nextStart('web')
    const { owner, ...warning } = await graph.next('port_occupied', 'web')
    expect(warning).toEqual({ type: 'port_occupied', process: 'web', port })
    expect(owner).toMatch(new RegExp(`^pid ${process.pid} \\(.+\\)$`))
    expect((await graph.next('waiting')).text).toContain(`answered by ${owner}, which had the port before (`)
    other.close()
    await once(other, 'close')
    await web.listen(port)
    await graph.next('process_ready', 'web')
    expect(graph.eventSequence('port_occupied', 'process_ready')).toEqual(['port_occupied web', 'ready web'])
    await rig.nextStart('user')
  })

  test('warns for each child, and makes none ready that exits because it cannot bind', async () => {
    const rig = await openRig()
    const other = createHttpServer((_request, response) => response.end())
    const port = await listen(other)
    const readinessProbe = probeOf({ type: 'http_get', url: `http://127.0.0.1:${port}/` })
    const graph = supervise([{ name: 'web', ...rig.program('web'), readinessProbe, restart: { maxAttempts: 2 } }])
    for (let start = 1; start <= 3; start++) {
      const web = await rig.nextStart('web')
      await graph.next('port_occupied', 'web')
      await web.exit(1)
    }
    await graph.next('process_failed', 'web')
    expect(graph.eventSequence('process_ready')).toEqual([])
    other.close()
  })

  test('counts the socket of a daemon in a session of its own', async () => {
    const rig = await openRig()
    const other = createServer((peer) => peer.destroy())
    const port = await listen(other)
    const graph = supervise([{ name: 'web', ...rig.program('web'), readinessProbe: tcp(port) }])
    await (await rig.nextStart('web')).fork('daemon', { session: true })
    const daemon = await rig.nextStart('daemon')
    await graph.next('port_occupied', 'web')
    other.close()
    await once(other, 'close')
    expect(graph.eventSequence('process_ready')).toEqual([])
    await daemon.listen(port)
    await graph.next('process_ready', 'web')
  })

  test('counts every listener if the port was free', async () => {
    const port = await freePort()
    const graph = supervise([{ name: 'web', command: 'sleep', args: ['60'], readinessProbe: tcp(port) }])
    await graph.next('process_started', 'web')
    await listen(createServer(), '127.0.0.1', port)
    await graph.next('process_ready', 'web')
    expect(graph.eventSequence('port_occupied')).toEqual([])
  })
})
