import { describe, expect, test } from 'vitest'
import { isAlive } from '../../../test/rig/orchestrator/steerable-child.ts'
import { openRig, supervise } from '../../../test/rig/orchestrator/supervised-graph.ts'

describe('a stop leaves no process behind (O-37)', () => {
  test('a stop ends when the process group is empty, not when its leader has exited', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a') }])
    const leader = await rig.nextStart('a')
    await leader.fork('member')
    const member = await rig.nextStart('member')
    await member.keep('SIGTERM')
    const ended = graph.stop()
    await leader.gone
    expect(await member.nextSignal()).toBe('SIGTERM')
    expect(graph.eventSequence('process_stopped')).toEqual([])
    await member.exit(0)
    expect(await ended).toEqual({ exitCode: 0 })
  })

  test('a member that ignores the signal gets SIGKILL although its leader has exited', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a'), shutdown: { timeoutMs: 100 } }])
    const leader = await rig.nextStart('a')
    await leader.fork('member', { holdsOutput: true })
    const member = await rig.nextStart('member')
    await member.keep('SIGTERM')
    expect(await graph.stop()).toEqual({ exitCode: 0 })
    expect(isAlive(member.pid)).toBe(false)
    expect(graph.eventSequence('process_killed')).toEqual(['killed a'])
  })

  test('the background processes of a completed task are ended', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'task', kind: 'task', ...rig.program('task') }])
    const task = await rig.nextStart('task')
    await task.fork('left')
    const left = await rig.nextStart('left')
    await task.exit(0)
    expect(await graph.ended).toEqual({ exitCode: 0 })
    expect(isAlive(left.pid)).toBe(false)
  })

  test('a daemonised grandchild with its own session is found and ended', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a') }])
    const leader = await rig.nextStart('a')
    await leader.fork('daemon', { session: true })
    const daemon = await rig.nextStart('daemon')
    expect(await graph.stop()).toEqual({ exitCode: 0 })
    expect(isAlive(daemon.pid)).toBe(false)
    expect(graph.events).toContainEqual({
      type: 'descendants_killed',
      process: 'a',
      pids: [daemon.pid],
      // Long commands are cut.
      commands: [expect.stringContaining(process.execPath.slice(0, 40))],
    })
  })

  test('a process that is suspended with SIGSTOP is stopped', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a') }])
    const a = await rig.nextStart('a')
    process.kill(a.pid, 'SIGSTOP')
    await graph.stop()
    expect(graph.eventSequence('process_killed')).toEqual([])
    expect(isAlive(a.pid)).toBe(false)
  })

  test('a kill immediately ends processes that ignore signals, their groups and daemons', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'a', ...rig.program('a'), shutdown: { timeoutMs: 3_600_000 } },
      {
        name: 'b',
        ...rig.program('b'),
        shutdown: { timeoutMs: 3_600_000 },
        dependsOn: [{ name: 'a', condition: 'ready' }],
      },
    ])
    const [a, b] = [await rig.nextStart('a'), await rig.nextStart('b')]
    await a.fork('member')
    await a.fork('daemon', { session: true })
    const [member, daemon] = [await rig.nextStart('member'), await rig.nextStart('daemon')]
    for (const child of [a, b, member, daemon]) await child.keep('SIGTERM')
    const ended = graph.stop()
    await b.nextSignal()
    graph.supervisor.kill()
    expect(await ended).toEqual({ exitCode: 0 })
    expect([a, b, member, daemon].filter((child) => isAlive(child.pid))).toEqual([])
  })
})
