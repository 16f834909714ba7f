import { describe, expect, test } from 'vitest'
import type { ChildRig } from '../../../test/rig/orchestrator/steerable-child.ts'
import { configOf, follows, openRig, started, supervise } from '../../../test/rig/orchestrator/supervised-graph.ts'

const afterSuccess = (name: string) => ({ name, condition: 'completed_successfully' }) as const

/** Returns the next child under this name, which reports SIGTERM instead of ending. */
async function nextStubborn(rig: ChildRig, name: string) {
  const child = await rig.nextStart(name)
  await child.keep('SIGTERM')
  return child
}

//  web ── api ── db    log ── db
describe('on_dependency_restart: restart', () => {
  const graphOf = (rig: ChildRig, over: object = {}) => [
    { name: 'db', ...rig.program('db'), ...over },
    { name: 'api', ...rig.program('api'), dependsOn: [started('db')], ...follows },
    { name: 'web', ...rig.program('web'), dependsOn: [started('api')], ...follows },
    { name: 'log', ...rig.program('log'), dependsOn: [started('db')] },
  ]

  /** Ends the children as they are signalled; resolves when each has been signalled after its dependents have gone. */
  async function expectStopsInOrder(rig: ChildRig, names: readonly string[], act: () => Promise<unknown>) {
    const children = []
    for (const name of names) children.push(await nextStubborn(rig, name))
    const done = act()
    for (const [index, child] of children.entries()) {
      expect(await child.nextSignal()).toBe('SIGTERM')
      expect(children.slice(index).every((later) => !later.isGone)).toBe(true)
      await child.exit(0)
    }
    await done
  }

  test.each(['restart', 'reload', 'stop'] as const)('stops dependents before the dependency: %s', async (verb) => {
    const rig = await openRig()
    const graph = supervise(graphOf(rig))
    await graph.next('all_ready')
    const { supervisor } = graph
    const acts = {
      restart: () => supervisor.commands.restart(['db']),
      reload: async () => (await supervisor.reload(configOf(graphOf(rig, { cwd: '/' })))).settled(),
      stop: async () => {
        await supervisor.commands.stop(['db'])
        await supervisor.commands.start(['db'])
      },
    }
    await expectStopsInOrder(rig, ['web', 'api', 'db'], acts[verb])
    for (const name of ['db', 'api', 'web']) await rig.nextStart(name)
    await rig.nextStart('log')
    expect(graph.eventSequence('process_started').slice(-3)).toEqual(['started db', 'started api', 'started web'])
    expect(rig.starts('log')).toBe(1)
  })

  test('makes dependents wait while the dependency is stopped manually', async () => {
    const rig = await openRig()
    const graph = supervise(graphOf(rig))
    await graph.next('all_ready')
    await graph.supervisor.commands.stop(['db'])
    const states = ['db', 'api', 'web', 'log'].map((name) => graph.supervisor.graph.get(name)?.state.type)
    expect(states).toEqual(['stopped', 'waiting', 'waiting', 'running'])
    expect(await graph.stop()).toEqual({ exitCode: 0 })
  })

  test('follows a crash of the dependency', async () => {
    const rig = await openRig()
    supervise(graphOf(rig))
    const db = await rig.nextStart('db')
    const api = await rig.nextStart('api')
    const web = await rig.nextStart('web')
    await rig.nextStart('log')
    await db.exit(1)
    await Promise.all([api.gone, web.gone])
    for (const name of ['db', 'api', 'web']) await rig.nextStart(name)
    expect(rig.starts('log')).toBe(1)
  })

  test('follows a dependency that starts again after a permanent failure', async () => {
    const rig = await openRig()
    const graph = supervise(graphOf(rig, { restart: { policy: 'never' } }))
    const db = await rig.nextStart('db')
    const api = await rig.nextStart('api')
    await db.exit(1)
    await graph.next('process_failed', 'db')
    expect(api.isGone).toBe(false)
    await graph.supervisor.commands.start(['db'])
    expect(api.isGone).toBe(true)
    for (const name of ['db', 'api']) await rig.nextStart(name)
  })

  //  web ── db
  test('a dependency that exits before its restart begins has not failed, and restarts without a backoff', async () => {
    const rig = await openRig()
    const policy = { restart: { policy: 'never' }, whenFailed: 'stop' } as const
    const graph = supervise([
      { name: 'db', ...rig.program('db'), ...policy },
      { name: 'web', ...rig.program('web'), dependsOn: [started('db')], ...follows },
    ])
    const db = await rig.nextStart('db')
    const web = await nextStubborn(rig, 'web')
    const restarted = graph.supervisor.commands.restart(['db'])
    await web.nextSignal()
    await db.exit(1)
    await graph.next('process_exited', 'db')
    await web.exit(0)
    for (const name of ['db', 'web']) await rig.nextStart(name)
    expect(await restarted).toEqual([])
    expect(graph.eventSequence('process_failed', 'restart_scheduled', 'stopping')).toEqual([])
  })

  //  api ── migrate (task) ── db
  test('follows through a completed task, and a completed task that follows runs again', async () => {
    for (const task of [{}, follows]) {
      const rig = await openRig()
      const graph = supervise([
        { name: 'db', ...rig.program('db') },
        { name: 'migrate', kind: 'task', ...rig.program('migrate'), dependsOn: [started('db')], ...task },
        { name: 'api', ...rig.program('api'), dependsOn: [afterSuccess('migrate')], ...follows },
      ])
      await rig.nextStart('db')
      await (await rig.nextStart('migrate')).exit(0)
      const api = await rig.nextStart('api')
      const restarted = graph.supervisor.commands.restart(['db'])
      await api.gone
      if (task === follows) await (await rig.nextStart('migrate')).exit(0)
      await rig.nextStart('api')
      expect(await restarted).toEqual([])
      await rig.nextStart('db')
      expect([rig.starts('db'), rig.starts('migrate')]).toEqual([2, task === follows ? 2 : 1])
    }
  })
})

//  api ── migrate (task) ── db
describe('the stop order through a completed task (O-37)', () => {
  async function migrated(rig: ChildRig) {
    const graph = supervise([
      { name: 'db', ...rig.program('db') },
      { name: 'migrate', kind: 'task', ...rig.program('migrate'), dependsOn: [started('db')] },
      { name: 'api', ...rig.program('api'), dependsOn: [afterSuccess('migrate')] },
    ])
    const db = await nextStubborn(rig, 'db')
    await (await rig.nextStart('migrate')).exit(0)
    const api = await nextStubborn(rig, 'api')
    await graph.next('all_ready')
    return { graph, db, api }
  }

  test.each(['Ctrl-C', 'down', 'stop', 'restart', 'reload'])('signals db only when api is gone: %s', async (way) => {
    const rig = await openRig()
    const { graph, db, api } = await migrated(rig)
    const { supervisor } = graph
    const done =
      way === 'Ctrl-C'
        ? graph.stop()
        : way === 'down'
          ? supervisor.stop({ type: 'asked' })
          : way === 'reload'
            ? supervisor.reload(configOf([{ name: 'other', command: 'sleep', args: ['600'] }]))
            : supervisor.commands[way === 'stop' ? 'stop' : 'restart'](['db', 'api'])
    expect(await api.nextSignal()).toBe('SIGTERM')
    await graph.next('process_stopping', 'api')
    expect(graph.eventSequence('process_stopping')).toEqual(['stopping api'])
    await api.exit(0)
    expect(await db.nextSignal()).toBe('SIGTERM')
    await db.exit(0)
    await done
    await graph.next('process_stopped', 'db')
    expect(graph.eventSequence('process_stopped')).toEqual(['stopped api', 'stopped db'])
  })
})
