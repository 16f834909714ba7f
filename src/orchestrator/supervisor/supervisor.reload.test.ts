import { describe, expect, test } from 'vitest'
import { configOf, openRig, supervise } from '../../../test/rig/orchestrator/supervised-graph.ts'
import type { ChildRig } from '../../../test/rig/orchestrator/steerable-child.ts'

/** Changes the definition of a process. */
const changed = { cwd: '/' } as const
const missing = { name: 'a', command: '/no/such/program' }
const failedStart = [
  { process: 'a', state: 'failed', reason: '"/no/such/program" was not found (expected at /no/such/program)' },
]

/** Starts two processes, of which `slow` ignores SIGTERM. */
async function startWithSlow(rig: ChildRig) {
  const a = { name: 'a', ...rig.program('a') }
  const slow = { name: 'slow', ...rig.program('slow') }
  const graph = supervise([a, slow])
  const [child, slowChild] = await Promise.all([rig.nextStart('a'), rig.nextStart('slow')])
  await slowChild.keep('SIGTERM')
  return { a, slow, graph, commands: graph.supervisor.commands, child, slowChild }
}

describe('a command during a reload (O-39)', () => {
  test('start applies to the new version of a process that was stopped', async () => {
    const rig = await openRig()
    const { a, slow, graph, commands, slowChild } = await startWithSlow(rig)
    await commands.stop(['a'])
    const reload = graph.supervisor.reload(configOf([a, slow].map((process) => ({ ...process, ...changed }))))
    await slowChild.nextSignal()
    const started = commands.start(['a'])
    await slowChild.exit(0)
    await reload
    expect(await started).toEqual([])
    await rig.nextStart('a')
    expect(graph.supervisor.graph.get('a')?.state.type).toBe('running')
  })

  test('restart answers for the new version, which the reload starts', async () => {
    const rig = await openRig()
    const { slow, graph, commands, child, slowChild } = await startWithSlow(rig)
    const reload = graph.supervisor.reload(configOf([missing, { ...slow, ...changed }]))
    await child.gone
    const restarted = commands.restart(['a'])
    await slowChild.exit(0)
    await reload
    expect(await restarted).toEqual(failedStart)
    expect(graph.eventSequence('spawn_failed')).toEqual(['spawn_failed a'])
  })

  test('restart answers for the new version when the reload follows it', async () => {
    const rig = await openRig()
    const { slow, graph, commands, child } = await startWithSlow(rig)
    await child.keep('SIGTERM')
    const restarted = commands.restart(['a'])
    await child.nextSignal()
    const reload = graph.supervisor.reload(configOf([missing, slow]))
    await child.exit(0)
    await reload
    expect(await restarted).toEqual(failedStart)
  })

  test('stop keeps the new version stopped', async () => {
    const rig = await openRig()
    const { a, slow, graph, commands, child, slowChild } = await startWithSlow(rig)
    const reload = graph.supervisor.reload(configOf([a, slow].map((process) => ({ ...process, ...changed }))))
    await child.gone
    await commands.stop(['a'])
    await slowChild.exit(0)
    await (await reload).settled()
    await rig.nextStart('slow')
    expect(graph.supervisor.graph.get('a')?.state.type).toBe('stopped')
    expect(rig.starts('a')).toBe(1)
  })
})
