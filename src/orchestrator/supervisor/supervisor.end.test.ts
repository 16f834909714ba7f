import { describe, expect, test } from 'vitest'
import { openRig, probeOf, ready, supervise } from '../../../test/rig/orchestrator/supervised-graph.ts'

const completed = (name: string) => ({ name, condition: 'completed_successfully' }) as const
const log = (pattern: RegExp) => probeOf({ type: 'log_line', pattern })

describe('tasks (O-35)', () => {
  test('a dependent starts when the task has succeeded', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'migrate', kind: 'task', ...rig.program('migrate') },
      { name: 'api', ...rig.program('api'), dependsOn: [completed('migrate')] },
    ])
    const migrate = await rig.nextStart('migrate')
    expect(graph.eventSequence('process_started')).toEqual(['started migrate'])
    await migrate.exit(0)
    await rig.nextStart('api')
    expect(graph.eventSequence('process_completed', 'process_started')).toEqual([
      'started migrate',
      'completed migrate',
      'started api',
    ])
    expect(graph.events.filter((event) => event.type === 'restart_scheduled')).toEqual([])
  })

  //  web ── api ── migrate     db (runs already)
  test('a failed task fails the start: its dependents are skipped with the reason, running processes stop, exit code 1', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'db', ...rig.program('db') },
      { name: 'migrate', kind: 'task', ...rig.program('migrate'), dependsOn: [ready('db')] },
      { name: 'api', command: 'true', dependsOn: [completed('migrate')] },
      { name: 'web', command: 'true', dependsOn: [ready('api')] },
    ])
    const migrate = await rig.nextStart('migrate')
    await migrate.exit(3)
    expect(await graph.ended).toEqual({ exitCode: 1 })
    expect(graph.events.filter((event) => event.type === 'process_skipped')).toEqual([
      { type: 'process_skipped', process: 'api', because: '"migrate" exited with code 3' },
      { type: 'process_skipped', process: 'web', because: '"api" was skipped' },
    ])
    expect(graph.eventSequence('process_failed', 'process_stopped')).toEqual(['failed migrate', 'stopped db'])
    const startFailure = { process: 'migrate', reason: 'exited with code 3' }
    expect(graph.events.at(-1)).toMatchObject({ type: 'stopped', startFailure })
    expect(rig.running).toEqual([])
  })

  //  clean ── (completed) ── migrate ── db      other
  test('a dependent with the condition completed still runs after a failed task, with its dependencies; other processes stop', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'db', ...rig.program('db') },
      { name: 'other', ...rig.program('other') },
      { name: 'migrate', kind: 'task', ...rig.program('migrate'), dependsOn: [ready('db')] },
      {
        name: 'clean',
        kind: 'task',
        ...rig.program('clean'),
        dependsOn: [{ name: 'migrate', condition: 'completed' }, ready('db')],
      },
    ])
    const [db, other, migrate] = [
      await rig.nextStart('db'),
      await rig.nextStart('other'),
      await rig.nextStart('migrate'),
    ]
    await migrate.exit(1)
    const clean = await rig.nextStart('clean')
    await other.gone
    expect(db.isGone).toBe(false)
    await clean.exit(0)
    await db.exit(0)
    const again = await rig.nextStart('db')
    expect(again.pid).not.toBe(db.pid)
    await graph.stop()
    expect(graph.eventSequence('process_completed')).toEqual(['completed clean'])
  })

  test('a task with a restart policy is retried before it fails', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'task', kind: 'task', ...rig.program('task'), restart: { policy: 'on_failure', maxAttempts: 1 } },
    ])
    await (await rig.nextStart('task')).exit(1)
    await (await rig.nextStart('task')).exit(1)
    expect(await graph.ended).toEqual({ exitCode: 1 })
    expect(graph.eventSequence('process_started', 'process_failed')).toEqual([
      'started task',
      'started task',
      'failed task',
    ])
  })
})

describe('the end of the last process (O-35)', () => {
  test('ends the run with exit code 0 if nothing failed', async () => {
    const graph = supervise([
      { name: 'task', kind: 'task', command: 'true' },
      { name: 'once', command: 'true', restart: { policy: 'on_failure' } },
    ])
    expect(await graph.ended).toEqual({ exitCode: 0 })
    expect(graph.events.at(-1)?.type).toBe('stopped')
  })

  test('ends the run with exit code 1 if a process failed permanently', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'never', command: 'exit 4', shell: true, restart: { policy: 'never' } },
      { name: 'long', ...rig.program('long'), restart: { policy: 'never' } },
    ])
    const long = await rig.nextStart('long')
    await graph.next('process_failed', 'never')
    expect(long.isGone).toBe(false)
    await long.exit(0)
    expect(await graph.ended).toEqual({ exitCode: 1 })
    expect(graph.events).not.toContainEqual(expect.objectContaining({ type: 'stopping' }))
  })

  test('is followed by skips if a service failed permanently and has dependents', async () => {
    const graph = supervise([
      { name: 'a', command: 'exit 1', shell: true, restart: { maxAttempts: 2 }, readinessProbe: log(/never/) },
      { name: 'b', command: 'true', dependsOn: [ready('a')] },
    ])
    const { because } = await graph.next('process_skipped', 'b')
    expect(because).toBe('"a" failed: exited with code 1, after 2 restarts')
    expect(await graph.ended).toEqual({ exitCode: 1 })
  })

  test('is followed by the number of processes that are ready, and by all_ready once the rest is', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'a', ...rig.program('a'), restart: { maxAttempts: 0 }, readinessProbe: log(/ready/) },
      { name: 'b', ...rig.program('b'), dependsOn: [ready('a')] },
      { name: 'web', ...rig.program('web') },
    ])
    await rig.nextStart('web')
    await (await rig.nextStart('a')).exit(1)
    expect(await graph.next('start_incomplete')).toMatchObject({ count: 3, failed: ['a'], skipped: ['b'] })
    const started = graph.supervisor.commands.start(['a'])
    await (await rig.nextStart('a')).print('ready\n')
    await started
    expect(await graph.next('all_ready')).toMatchObject({ count: 3 })
  })
})

describe('--abort-on-exit and --exit-code-from', () => {
  test('any exit stops all processes and determines the exit code', async () => {
    const rig = await openRig()
    const graph = supervise(
      [
        { name: 'a', ...rig.program('a') },
        { name: 'b', ...rig.program('b') },
      ],
      { abortOnExit: true },
    )
    const [a, b] = [await rig.nextStart('a'), await rig.nextStart('b')]
    await a.exit(7)
    expect(await graph.ended).toEqual({ exitCode: 7 })
    await b.gone
    expect(graph.events.filter((event) => event.type === 'restart_scheduled')).toEqual([])
  })

  test('the failure of a task with dependents stops all processes, its success does not', async () => {
    const rig = await openRig()
    const graph = supervise(
      [
        { name: 'migrate', kind: 'task', command: 'true' },
        { name: 'tests', kind: 'task', ...rig.program('tests'), dependsOn: [completed('migrate')] },
        { name: 'db', ...rig.program('db') },
      ],
      { abortOnExit: true },
    )
    await (await rig.nextStart('tests')).exit(0)
    expect(await graph.ended).toEqual({ exitCode: 0 })
    expect(graph.eventSequence('process_stopped')).toEqual(['stopped db'])
  })

  test('the named process determines the exit code, even after a signal', async () => {
    const rig = await openRig()
    const graph = supervise(
      [
        { name: 'db', ...rig.program('db') },
        { name: 'tests', ...rig.program('tests') },
      ],
      {
        exitCodeFrom: 'tests',
      },
    )
    await (await rig.nextStart('db')).exit(5)
    await rig.nextStart('db')
    await (await rig.nextStart('tests')).raise('SIGKILL')
    expect(await graph.ended).toEqual({ exitCode: 137 })
  })
})
