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

describe('a completed task that has left a daemon (O-9, O-37)', () => {
  async function provided() {
    const rig = await openRig()
    const graph = supervise([
      { name: 'pg', kind: 'task', ...rig.program('pg') },
      {
        name: 'web',
        ...rig.program('web'),
        dependsOn: [{ name: 'pg', condition: 'completed_successfully' }],
        onDependencyRestart: 'restart',
      },
    ])
    const pg = await rig.nextStart('pg')
    const daemon = await daemonOf(pg, rig)
    await pg.exit(0)
    return { rig, graph, daemon, web: await rig.nextStart('web') }
  }

  test('is restarted after its dependents have stopped, which start after it', async () => {
    const { rig, graph, daemon, web } = await provided()
    await web.keep('SIGTERM')
    const restarted = graph.supervisor.commands.restart(['pg'])
    expect(await web.nextSignal()).toBe('SIGTERM')
    expect(isAlive(daemon.pid)).toBe(true)
    await web.exit(0)
    const again = await rig.nextStart('pg')
    expect(isAlive(daemon.pid)).toBe(false)
    await again.exit(0)
    await Promise.all([rig.nextStart('web'), restarted])
    expect(graph.eventSequence('process_stopped', 'descendants_killed', 'process_started').slice(2)).toEqual([
      'stopped web',
      'descendants_killed pg',
      'started pg',
      'started web',
    ])
  })

  test('ends the daemon when it is stopped; its dependents keep running', async () => {
    const { graph, daemon, web } = await provided()
    await graph.supervisor.commands.stop(['pg'])
    expect([daemon, web].map(({ pid }) => isAlive(pid))).toEqual([false, true])
    expect(graph.supervisor.graph.all.map(({ state }) => state.type)).toEqual(['completed', 'running'])
  })
})

describe('a service that exits with code 0 and leaves processes (O-37)', () => {
  test.each([
    { where: 'in its process group', session: false, again: [] },
    { where: 'in a session of their own', session: true, again: ['descendants_killed a'] },
  ])('is warned of once, if they are $where', async ({ session, again }) => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', restart: { backoffMs: 1, maxBackoffMs: 1 }, ...rig.program('a') }])
    const leave = async () => {
      const a = await rig.nextStart('a')
      await a.fork('left', { session })
      const left = await rig.nextStart('left')
      await a.exit(0)
      await left.gone
      return left.pid
    }
    const first = await leave()
    expect(await graph.next('processes_left')).toEqual({
      type: 'processes_left',
      process: 'a',
      pids: [first],
      commands: [expect.stringContaining(process.execPath.slice(0, 40))],
    })
    await leave()
    await rig.nextStart('a')
    expect(graph.eventSequence('processes_left', 'descendants_killed')).toEqual(['processes_left a', ...again])
  })

  test('is not warned of after another exit code, nor if it restarts without having left any', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', restart: { backoffMs: 1, maxBackoffMs: 1 }, ...rig.program('a') }])
    const first = await rig.nextStart('a')
    await first.fork('left')
    await rig.nextStart('left')
    await first.exit(1)
    await (await rig.nextStart('a')).exit(0)
    await rig.nextStart('a')
    expect(graph.eventSequence('processes_left')).toEqual([])
  })

  test('is warned of without a backoff, too', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a') }])
    const a = await rig.nextStart('a')
    const daemon = await daemonOf(a, rig)
    await a.exit(0)
    await rig.nextStart('a')
    expect(await graph.next('processes_left')).toMatchObject({ process: 'a', pids: [daemon.pid] })
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
