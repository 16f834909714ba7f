import { describe, expect, test } from 'vitest'
import { openRig, supervise } from '../../../test/rig/orchestrator/supervised-graph.ts'
import { isAlive, type ChildRig, type SteeredChild } from '../../../test/rig/orchestrator/steerable-child.ts'

/** Starts a daemon with its own session, which `parent` leaves behind. */
async function daemonOf(parent: SteeredChild, rig: ChildRig): Promise<SteeredChild> {
  await parent.fork(`${parent.name}-daemon`, { session: true })
  return rig.nextStart(`${parent.name}-daemon`)
}

describe('a daemon with its own session that a child leaves behind (O-37)', () => {
  test('is ended before the process restarts; the daemon of another process keeps running', async () => {
    const rig = await openRig()
    const restart = { backoffMs: 1, maxBackoffMs: 1 }
    const graph = supervise(['a', 'a-b'].map((name) => ({ name, restart, ...rig.program(name) })))
    const [a, other] = [await rig.nextStart('a'), await rig.nextStart('a-b')]
    const [daemon, otherDaemon] = [await daemonOf(a, rig), await daemonOf(other, rig)]
    await a.exit(1)
    await rig.nextStart('a')
    expect([daemon, otherDaemon].map(({ pid }) => isAlive(pid))).toEqual([false, true])
    expect(graph.eventSequence('process_started', 'descendants_killed').slice(2)).toEqual([
      'descendants_killed a',
      'started a',
    ])
  })

  test('is ended after a restart without backoff; the daemon of the new child keeps running', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a') }])
    const first = await rig.nextStart('a')
    const old = await daemonOf(first, rig)
    await first.exit(1)
    const young = await daemonOf(await rig.nextStart('a'), rig)
    await old.gone
    expect(isAlive(young.pid)).toBe(true)
    expect(await graph.next('descendants_killed')).toMatchObject({ process: 'a', pids: [old.pid] })
  })

  test('is gone when a manual stop of the process is complete, even if it ignores SIGTERM', async () => {
    const rig = await openRig()
    const graph = supervise(['a', 'b'].map((name) => ({ name, ...rig.program(name) })))
    const daemon = await daemonOf(await rig.nextStart('a'), rig)
    await daemon.keep('SIGTERM')
    await graph.supervisor.commands.stop(['a'])
    expect(isAlive(daemon.pid)).toBe(false)
    expect(graph.events).toContainEqual(
      expect.objectContaining({ type: 'descendants_killed', process: 'a', pids: [daemon.pid] }),
    )
    expect(graph.supervisor.graph.all.map(({ state }) => state.type)).toEqual(['stopped', 'running'])
  })

  test('keeps running after a completed task until the task is stopped manually', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'up', kind: 'task', ...rig.program('up') },
      { name: 'web', ...rig.program('web'), dependsOn: [{ name: 'up', condition: 'completed_successfully' }] },
    ])
    const up = await rig.nextStart('up')
    const daemon = await daemonOf(up, rig)
    await up.exit(0)
    await rig.nextStart('web')
    expect(isAlive(daemon.pid)).toBe(true)
    await graph.stop()
    expect(isAlive(daemon.pid)).toBe(false)
  })
})

describe('a process that exits while its stop waits for its dependents (O-9)', () => {
  //  web ── db
  test('is stopped, not restarted', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'db', ...rig.program('db') },
      { name: 'web', ...rig.program('web'), dependsOn: [{ name: 'db', condition: 'started' }] },
    ])
    const [db, web] = [await rig.nextStart('db'), await rig.nextStart('web')]
    await web.keep('SIGTERM')
    const held = graph.supervisor.commands.stop(['db', 'web'])
    await web.nextSignal()
    await db.exit(0)
    await web.exit(0)
    await held
    expect(graph.supervisor.graph.all.map(({ state }) => state.type)).toEqual(['stopped', 'stopped'])
    const released = graph.supervisor.commands.start(['db', 'web'])
    await Promise.all([rig.nextStart('db'), rig.nextStart('web'), released])
  })
})
