import { describe, expect, test } from 'vitest'
import { openRig } from '../../../test/rig/orchestrator/supervised-graph.ts'
import { trigger } from '../../../test/rig/orchestrator/triggered-graph.ts'

const EVERY_SECOND = '* * * * * *'
const task = { kind: 'task', schedule: EVERY_SECOND } as const

describe('a task with a schedule', () => {
  test('does not run at the start, then at the times of its schedule, and keeps the orchestrator running', async () => {
    const rig = await openRig()
    const graph = trigger([{ name: 'backup', ...rig.program('backup'), ...task }])
    expect(graph.supervisor.graph.get('backup')?.state).toEqual({ type: 'scheduled' })
    expect(await graph.next('all_ready')).toMatchObject({ count: 0 })
    await graph.next('next_run', 'backup')
    for (const code of [0, 3, 0]) await (await rig.nextStart('backup')).exit(code)
    expect(await graph.next('process_failed', 'backup')).toMatchObject({ reason: 'exited with code 3' })
    expect(await graph.stop()).toEqual({ exitCode: 0 })
    expect(
      graph.eventSequence('all_ready', 'process_started', 'process_completed', 'process_failed').slice(0, 5),
    ).toEqual(['all_ready', 'started backup', 'completed backup', 'started backup', 'failed backup'])
  })

  test('whose program is missing fails at each run and stops no other process', async () => {
    const rig = await openRig()
    const graph = trigger([
      { name: 'web', ...rig.program('web') },
      { name: 'broken', command: 'there-is-no-such-program', ...task },
    ])
    await rig.nextStart('web')
    await graph.next('process_failed', 'broken')
    await graph.next('process_failed', 'broken')
    expect(rig.running).toHaveLength(1)
    expect(graph.events.map(({ type }) => type)).not.toContain('stopping')
  })

  test('skips its runs while it runs, and reports that once', async () => {
    const rig = await openRig()
    const graph = trigger([
      { name: 'slow', ...rig.program('slow'), ...task },
      { name: 'quick', ...rig.program('quick'), ...task },
    ])
    const first = await rig.nextStart('slow')
    await graph.next('run_skipped', 'slow')
    for (let run = 0; run < 3; run++) await (await rig.nextStart('quick')).exit(0)
    expect(rig.starts('slow')).toBe(1)
    expect(graph.eventSequence('run_skipped').filter((event) => event === 'run_skipped slow')).toHaveLength(1)
    await first.exit(0)
    await rig.nextStart('slow')
    await graph.next('run_skipped', 'slow')
  })

  test('of a process that is left out applies from the first start by a command on', async () => {
    const rig = await openRig()
    const leftOut = 'is not in an active profile'
    const graph = trigger([
      { name: 'web', ...rig.program('web') },
      { name: 'report', ...rig.program('report'), ...task, leftOut },
    ])
    await rig.nextStart('web')
    expect(graph.triggers.nextRun('report')).toBeNull()
    const started = graph.supervisor.commands.start(['report'])
    await (await rig.nextStart('report')).exit(0)
    await started
    await graph.next('next_run', 'report')
    expect(graph.triggers.nextRun('report')).toBeInstanceOf(Date)
    await (await rig.nextStart('report')).exit(0)
    await rig.nextStart('report')
    await graph.supervisor.commands.stop(['report'])
    expect(graph.triggers.nextRun('report')).toBeNull()
  })

  test('runs immediately when it is started, and stays down when it was stopped manually', async () => {
    const rig = await openRig()
    const graph = trigger([
      { name: 'yearly', ...rig.program('yearly'), ...task, schedule: '@yearly' },
      { name: 'stopped', ...rig.program('stopped'), ...task },
      { name: 'tick', ...rig.program('tick'), ...task },
    ])
    await graph.supervisor.commands.stop(['stopped'])
    const runs = rig.starts('stopped')
    const started = graph.supervisor.commands.start(['yearly'])
    await (await rig.nextStart('yearly')).exit(0)
    await started
    for (let run = 0; run < 3; run++) await (await rig.nextStart('tick')).exit(0)
    expect(rig.starts('stopped')).toBe(runs)
    expect(graph.triggers.nextRun('stopped')).toBeNull()
    expect(graph.triggers.nextRun('yearly')).toEqual(new Date(new Date().getFullYear() + 1, 0, 1))
  })

  test('is not part of --abort-on-exit', async () => {
    const rig = await openRig()
    const graph = trigger(
      [
        { name: 'web', ...rig.program('web') },
        { name: 'backup', ...rig.program('backup'), ...task },
      ],
      { abortOnExit: true },
    )
    const web = await rig.nextStart('web')
    await (await rig.nextStart('backup')).exit(1)
    await (await rig.nextStart('backup')).exit(0)
    await web.exit(5)
    expect(await graph.ended).toEqual({ exitCode: 5 })
  })
})
