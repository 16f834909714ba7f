import { describe, expect, onTestFinished, test } from 'vitest'
import { sleeper } from '../../../test/rig/orchestrator/control-commands.ts'
import {
  CapturedOutput,
  configOf,
  openRig,
  probeOf,
  ready,
  supervise,
} from '../../../test/rig/orchestrator/supervised-graph.ts'
import { Supervisor } from './supervisor.ts'

const completed = (name: string) => ({ name, condition: 'completed_successfully' }) as const

describe('a stop (O-37)', () => {
  test('prevents every start if it comes before the start', async () => {
    const graph = supervise([{ name: 'a', ...sleeper }])
    expect(await graph.stop()).toEqual({ exitCode: 0 })
    expect(graph.eventSequence('process_started')).toEqual([])
  })

  test('stops running processes and starts no others if it comes during the start', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'a', ...rig.program('a'), readinessProbe: probeOf({ type: 'log_line', pattern: /^up$/ }) },
      { name: 'b', ...rig.program('b'), dependsOn: [ready('a')] },
    ])
    const a = await rig.nextStart('a')
    await a.keep('SIGTERM')
    const ended = graph.stop()
    await a.nextSignal()
    await a.print('up\n')
    await a.exit(0)
    expect(await ended).toEqual({ exitCode: 0 })
    expect(graph.eventSequence('process_started', 'process_stopped')).toEqual(['started a', 'stopped a'])
    expect(rig.starts('b')).toBe(0)
  })

  test('has exit code 0 if it comes while a command cannot be started', async () => {
    const graph = supervise([{ name: 'a', command: 'no-such-program' }])
    graph.supervisor.stop({ type: 'signal', signal: 'SIGTERM' })
    expect(await graph.ended).toEqual({ exitCode: 0 })
  })

  test('ends the command of an exec probe, too, if it comes during a readiness probe', async () => {
    const rig = await openRig()
    const [program, path] = [rig.program('probe').command, rig.program('probe').args[0] ?? '']
    const exec = ['/bin/sh', '-c', `RIG_NAME=probe exec "${program}" "${path}"`] as const
    const graph = supervise([
      {
        name: 'a',
        ...rig.program('a'),
        readinessProbe: probeOf({ type: 'exec', command: exec }, { timeoutMs: 60_000 }),
      },
      { name: 'b', ...rig.program('b'), dependsOn: [ready('a')] },
    ])
    const [, probe] = [await rig.nextStart('a'), await rig.nextStart('probe')]
    await probe.keep('SIGTERM')
    expect(await graph.stop()).toEqual({ exitCode: 0 })
    await probe.gone
    expect([rig.running, rig.starts('a'), rig.starts('b')]).toEqual([[], 1, 0])
  })

  test('is immediate in backoff, and no second child starts afterwards', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'a', ...rig.program('a'), restart: { backoffMs: 3_600_000, maxBackoffMs: 3_600_000 } },
    ])
    await (await rig.nextStart('a')).exit(1)
    await graph.next('restart_scheduled', 'a')
    expect(await graph.stop()).toEqual({ exitCode: 0 })
    expect(graph.eventSequence('process_started', 'process_stopped')).toEqual(['started a', 'stopped a'])
    expect(rig.running).toEqual([])
  })

  //  web ── db (in backoff)
  test('does not restart a process in backoff while a dependent stops slowly', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'db', ...rig.program('db'), restart: { backoffMs: 3_600_000, maxBackoffMs: 3_600_000 } },
      { name: 'web', ...rig.program('web'), dependsOn: [{ name: 'db', condition: 'started' }] },
    ])
    const [db, web] = [await rig.nextStart('db'), await rig.nextStart('web')]
    await web.keep('SIGTERM')
    await db.exit(1)
    await graph.next('restart_scheduled', 'db')
    const ended = graph.stop()
    await web.nextSignal()
    expect(graph.eventSequence('process_stopped')).toContain('stopped db')
    await web.exit(0)
    expect(await ended).toEqual({ exitCode: 0 })
    expect(rig.starts('db')).toBe(1)
  })

  test('does not restart a process that exits while its dependents stop, and reports no restart', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'db', ...rig.program('db') },
      { name: 'web', ...rig.program('web'), dependsOn: [{ name: 'db', condition: 'started' }] },
    ])
    const [db, web] = [await rig.nextStart('db'), await rig.nextStart('web')]
    await web.keep('SIGTERM')
    const ended = graph.stop()
    await web.nextSignal()
    await db.exit(1)
    await graph.next('process_exited', 'db')
    await web.exit(0)
    expect(await ended).toEqual({ exitCode: 0 })
    expect([rig.starts('db'), graph.eventSequence('restart_scheduled')]).toEqual([1, []])
  })

  test('does not restart the process if it comes during the handling of an exit', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a') }])
    for (let n = 0; n < 20; n++) {
      const one = await rig.nextStart('a')
      const gone = one.exit(1)
      if (n === 19) await graph.stop()
      await gone
    }
    expect(rig.running).toEqual([])
    expect(graph.eventSequence('process_started', 'stopped').at(-1)).toBe('stopped')
  })

  test('has no effect during another stop, whose reason is kept', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a') }])
    const a = await rig.nextStart('a')
    await a.keep('SIGTERM')
    const ended = graph.stop()
    await a.nextSignal()
    graph.supervisor.stop({ type: 'start_failed', process: 'a', cause: 'spawn', message: 'no' })
    await a.exit(0)
    expect(await ended).toEqual({ exitCode: 0 })
    expect(graph.eventSequence('stopping', 'process_stopping')).toEqual(['stopping', 'stopping a'])
  })

  test('has no effect after the end', async () => {
    const graph = supervise([{ name: 'task', kind: 'task', command: 'true' }])
    await graph.ended
    await graph.stop()
    expect(graph.events.at(-1)?.type).toBe('stopped')
  })

  test('does not start the dependents of a task that succeeds during the stop', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'task', kind: 'task', ...rig.program('task') },
      { name: 'user', ...rig.program('user'), dependsOn: [completed('task')] },
    ])
    const task = await rig.nextStart('task')
    await task.keep('SIGTERM')
    const ended = graph.stop()
    await task.nextSignal()
    await task.exit(0)
    expect(await ended).toEqual({ exitCode: 0 })
    expect(rig.starts('user')).toBe(0)
  })
})

describe('a stop in order (O-37)', () => {
  //  web ── api ── db      log
  test('stops dependents before their dependencies, one after the other', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'db', ...rig.program('db') },
      { name: 'api', ...rig.program('api'), dependsOn: [ready('db')] },
      { name: 'web', ...rig.program('web'), dependsOn: [ready('api')] },
      { name: 'log', ...rig.program('log') },
    ])
    const names = ['web', 'api', 'db'] as const
    const children = new Map(await Promise.all(names.map(async (name) => [name, await rig.nextStart(name)] as const)))
    const log = await rig.nextStart('log')
    for (const child of children.values()) await child.keep('SIGTERM')
    const ended = graph.stop()
    await log.gone
    for (const name of names) {
      await children.get(name)?.nextSignal()
      await children.get(name)?.exit(0)
    }
    await ended
    const sequence = graph.eventSequence('process_stopping', 'process_stopped').filter((step) => !step.endsWith('log'))
    expect(sequence).toEqual(names.flatMap((name) => [`stopping ${name}`, `stopped ${name}`]))
  })

  test('stops independent processes at the same time', async () => {
    const rig = await openRig()
    const names = ['a', 'b', 'c', 'd', 'e']
    const graph = supervise(names.map((name) => ({ name, ...rig.program(name) })))
    const children = await Promise.all(names.map((name) => rig.nextStart(name)))
    for (const child of children) await child.keep('SIGTERM')
    const ended = graph.stop()
    await Promise.all(children.map((child) => child.nextSignal()))
    expect(rig.running).toHaveLength(5)
    await Promise.all(children.map((child) => child.exit(0)))
    await ended
  })

  test('has one time-out for all processes that ignore SIGTERM', async () => {
    const names = Array.from({ length: 20 }, (_, n) => `p${n}`)
    const graph = supervise(
      names.map((name) => ({
        name,
        command: 'trap "" TERM; echo up; while :; do sleep 1000; done',
        shell: true,
        shutdown: { timeoutMs: 200 },
        readinessProbe: probeOf({ type: 'log_line', pattern: /^up$/ }),
      })),
    )
    await graph.next('all_ready')
    expect(await graph.stop()).toEqual({ exitCode: 0 })
    const sequence = graph.events.map((event) => event.type)
    expect(sequence.filter((type) => type === 'process_killed')).toHaveLength(20)
    expect(sequence.lastIndexOf('process_stopping')).toBeLessThan(sequence.indexOf('process_killed'))
  })

  test('sends the configured signal first, and SIGKILL after the time-out', async () => {
    const rig = await openRig()
    const graph = supervise([{ name: 'a', ...rig.program('a'), shutdown: { signal: 'SIGINT', timeoutMs: 1000 } }])
    const a = await rig.nextStart('a')
    await a.keep('SIGINT')
    const ended = graph.stop()
    expect(await a.nextSignal()).toBe('SIGINT')
    await ended
    expect(graph.eventSequence('process_stopping', 'process_killed', 'process_stopped')).toEqual([
      'stopping a',
      'killed a',
      'stopped a',
    ])
  })
})

test('a process stops even if an event listener threw an exception at its start', async () => {
  const output = { stdout: new CapturedOutput(), stderr: new CapturedOutput() }
  const supervisor = new Supervisor(configOf([{ name: 'a', ...sleeper }]), {
    output,
    logFormat: 'text',
    colour: { stdout: false, stderr: false },
    abortOnExit: false,
    exitCodeFrom: null,
    onEvent: ({ type }) => {
      if (type === 'process_started') throw new Error('no reader')
    },
  })
  onTestFinished(() => supervisor.kill())
  await expect(supervisor.run()).rejects.toThrow('no reader')
  await supervisor.commands.stop(['a'])
  expect(supervisor.graph.get('a')?.state).toMatchObject({ type: 'stopped' })
})
