import { createServer } from 'node:net'
import { describe, expect, test } from 'vitest'
import { sleeper } from '../../../test/rig/orchestrator/control-commands.ts'
import { freePort } from '../../../test/rig/servers.ts'
import { configOf, openRig, probeOf, ready, supervise } from '../../../test/rig/orchestrator/supervised-graph.ts'
import { listen } from '../../../test/rig/tcp-proxy.ts'

/** Listens and accepts connections; resolves with the port. */
const accept = (host: string, port?: number) =>
  listen(
    createServer((peer) => peer.destroy()),
    host,
    port,
  )

describe('the MQTT broker as an external dependency (O-30)', () => {
  test.each([
    ['localhost', '127.0.0.1'],
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
  ])('starts its users when %s accepts a connection', async (host, listensOn) => {
    const port = await accept(listensOn)
    const graph = supervise([{ name: 'user', ...sleeper, usesExternal: true }], {
      external: { host, port, required: true },
    })
    await graph.next('process_started', 'user')
    expect(graph.eventSequence('mqtt_broker_unreachable')).toEqual([])
  })

  test('delays only its users until it accepts a connection', async () => {
    const port = await freePort()
    const graph = supervise(
      [
        { name: 'user', ...sleeper, usesExternal: true },
        { name: 'other', ...sleeper },
      ],
      { external: { port, required: true } },
    )
    const { cause, text, waiters } = await graph.next('waiting')
    expect({ cause, waiters }).toEqual({ cause: null, waiters: ['user'] })
    expect(text).toMatch(
      new RegExp(`^waiting for the MQTT broker at 127.0.0.1:${port}: connection refused \\(\\d+ attempts\\)$`),
    )
    await graph.next('process_started', 'other')
    expect(graph.eventSequence('process_started')).toEqual(['started other'])
    await accept('127.0.0.1', port)
    await graph.next('process_started', 'user')
    await graph.next('all_ready')
  })

  test('is reported in one error with the address if it is unreachable; running processes stop, exit code 1', async () => {
    const rig = await openRig()
    const port = await freePort()
    const user = { name: 'user', ...sleeper, usesExternal: true }
    const graphs = ['127.0.0.1', 'no-such-host.invalid'].map((host) => {
      const graph = supervise([user, { name: 'other', ...rig.program(host) }], {
        external: { host, port, required: true },
      })
      return { host, graph }
    })
    const unused = supervise([{ name: 'other', ...sleeper }], { external: { port, required: true } })
    const provided = supervise(
      [
        { name: 'broker', ...sleeper },
        { ...user, dependsOn: [ready('broker')] },
      ],
      {
        external: { port, required: true, providedBy: 'broker' },
      },
    )
    for (const { host, graph } of graphs) {
      const other = await rig.nextStart(host)
      const { address, reason } = await graph.next('mqtt_broker_unreachable')
      expect(address).toBe(`${host}:${port}`)
      expect(reason).toMatch(/^(connection refused|unknown host name|the host name could not be resolved)$/)
      expect(await graph.ended).toEqual({ exitCode: 1 })
      expect(graph.eventSequence('mqtt_broker_unreachable', 'process_started')).toEqual([
        'started other',
        'mqtt_broker_unreachable',
      ])
      expect(other.isGone).toBe(true)
    }
    // First the broker is required but has no user; then a process provides it that does not listen at its address.
    for (const graph of [unused, provided]) {
      await graph.next('mqtt_broker_unreachable')
      expect(await graph.ended).toEqual({ exitCode: 1 })
    }
    expect(provided.eventSequence('process_started')).toEqual(['started broker'])
  })

  test('does not delay a stop: exit code 0, and its users never start', async () => {
    const graph = supervise([{ name: 'user', ...sleeper, usesExternal: true }], {
      external: { port: await freePort(), required: true },
    })
    await graph.next('waiting')
    expect(await graph.stop()).toEqual({ exitCode: 0 })
    expect(graph.eventSequence('process_started', 'mqtt_broker_unreachable')).toEqual([])
  })

  //  user ── broker (provides mqtt_broker)
  test('is checked once, when the process that provides it is ready; then its users start', async () => {
    const rig = await openRig()
    const port = await freePort()
    const graph = supervise(
      [
        { name: 'user', ...rig.program('user'), usesExternal: true, dependsOn: [ready('broker')] },
        { name: 'broker', ...rig.program('broker'), readinessProbe: probeOf({ type: 'log_line', pattern: /^up$/ }) },
      ],
      { external: { port, required: true, providedBy: 'broker' } },
    )
    const first = await rig.nextStart('broker')
    await first.exit(1)
    const second = await rig.nextStart('broker')
    expect(graph.eventSequence('mqtt_broker_unreachable')).toEqual([])
    await second.print('up\n')
    await graph.next('waiting')
    expect(rig.starts('user')).toBe(0)
    await second.listen(port)
    await rig.nextStart('user')
    await graph.stop()
    expect(graph.eventSequence('process_stopped')).toEqual(['stopped user', 'stopped broker'])
  })

  test('ends nothing if a reload brings an unreachable one: its new users are skipped, and start when it is reachable', async () => {
    const rig = await openRig()
    const port = await freePort()
    const other = { name: 'other', ...rig.program('other') }
    const user = { name: 'user', ...rig.program('user'), usesExternal: true }
    const graph = supervise([other])
    const running = await rig.nextStart('other')
    await graph.next('all_ready')
    const reload = await graph.supervisor.reload(configOf([other, user], { port, required: true }))
    await graph.next('mqtt_broker_unreachable')
    const because = `the MQTT broker at 127.0.0.1:${port} is unreachable`
    expect(await reload.settled()).toEqual({
      failed: [{ process: 'user', state: 'skipped', reason: because }],
      superseded: [],
    })
    await accept('127.0.0.1', port)
    expect(await graph.supervisor.commands.start(['user'])).toEqual([])
    await rig.nextStart('user')
    expect(running.isGone).toBe(false)
    expect(graph.eventSequence('stopping')).toEqual([])
  })

  test('is no longer checked when a reload replaces it', async () => {
    const rig = await openRig()
    const user = { name: 'user', ...rig.program('user'), usesExternal: true }
    const graph = supervise([user], { external: { port: await freePort(), required: true } })
    await graph.next('waiting')
    const unreachable = await freePort()
    const reload = await graph.supervisor.reload(configOf([user], { port: unreachable, required: true }))
    expect(reload.difference.unchanged).toEqual(['user'])
    expect(await graph.next('mqtt_broker_unreachable')).toMatchObject({ address: `127.0.0.1:${unreachable}` })
    expect(await graph.ended).toEqual({ exitCode: 1 })
  })
})
