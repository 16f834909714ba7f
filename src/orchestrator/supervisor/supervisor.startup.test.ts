import { describe, expect, test } from 'vitest'
import { loadDefaultGraph } from '../../../test/rig/configuration/export.ts'
import { emptyFolder } from '../../../test/rig/empty-folder.ts'
import { openRig, probeOf, supervise } from '../../../test/rig/orchestrator/supervised-graph.ts'

const readinessProbe = probeOf({ type: 'notify' })
const restart = { startupAttempts: 3 }

describe('startup_attempts (O-43)', () => {
  test('ends the start with the last lines after so many starts in a row without being ready', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'a', ...rig.program('a') },
      { name: 'web', ...rig.program('web'), readinessProbe, restart },
    ])
    for (let start = 1; start <= 3; start++) {
      const web = await rig.nextStart('web')
      await web.print(`attempt ${start}\n`)
      await web.exit(1)
    }
    expect(await graph.next('process_failed', 'web')).toMatchObject({
      reason: 'exited with code 1; not ready after 3 starts',
      lastLines: expect.arrayContaining(['attempt 3']),
    })
    expect(await graph.ended).toEqual({ exitCode: 1 })
    expect(rig.starts('web')).toBe(3)
    expect(await graph.next('restart_scheduled', 'web')).toMatchObject({ attempt: 1, maxAttempts: 2 })
  })

  test('does not limit the restarts of a process that was ready once', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'a', ...rig.program('a') },
      { name: 'web', ...rig.program('web'), readinessProbe, restart },
    ])
    const a = await rig.nextStart('a')
    await (await rig.nextStart('web')).notify()
    await graph.next('process_ready', 'web')
    for (let round = 0; round < 20; round++) {
      const child = rig.running.find(({ name }) => name === 'web') ?? (await rig.nextStart('web'))
      await child.raise('SIGKILL')
      await rig.nextStart('web')
    }
    expect(graph.eventSequence('process_failed', 'stopping')).toEqual([])
    expect(rig.running).toContain(a)
    expect(rig.starts('a')).toBe(1)
  })
})

test('every service of the default graph limits its first start only, and no failure stops the others (O-43)', () => {
  const services = loadDefaultGraph().config.processes.filter(({ kind }) => kind === 'service')
  expect(services.length).toBeGreaterThan(5)
  for (const { whenFailed, restart: policy } of services) {
    expect({ whenFailed, ...policy }).toMatchObject({
      whenFailed: 'isolate',
      policy: 'always',
      startupAttempts: 3,
      maxAttempts: Infinity,
      maxBackoffMs: 10_000,
    })
  }
})

describe('success_exit_codes', () => {
  //  after ── job (task)
  test('complete a task and meet the conditions of its dependents', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'job', kind: 'task', ...rig.program('job'), successExitCodes: [0, 7] },
      {
        name: 'after',
        kind: 'task',
        command: 'true',
        dependsOn: [{ name: 'job', condition: 'completed_successfully' }],
      },
    ])
    await (await rig.nextStart('job')).exit(7)
    expect(await graph.next('process_exited', 'job')).toMatchObject({ succeeded: true })
    expect(await graph.ended).toEqual({ exitCode: 0 })
    expect(graph.eventSequence('process_completed')).toEqual(['completed job', 'completed after'])
  })

  test('143 also means an end by SIGTERM', async () => {
    const rig = await openRig()
    const policy = 'on_failure'
    const graph = supervise([
      { name: 'web', ...rig.program('web'), successExitCodes: [0, 143], restart: { policy } },
      { name: 'other', ...rig.program('other'), restart: { policy } },
    ])
    const other = await rig.nextStart('other')
    await (await rig.nextStart('web')).raise('SIGTERM')
    await graph.next('process_completed', 'web')
    await other.raise('SIGTERM')
    await rig.nextStart('other')
    expect(rig.starts('web')).toBe(1)
  })
})

describe('the announcement that all processes are ready (O-32)', () => {
  test('waits until a restarted service without a readiness probe has run for a second', async () => {
    const rig = await openRig()
    const graph = supervise([
      { name: 'db', ...rig.program('db'), readinessProbe },
      { name: 'web', ...rig.program('web') },
    ])
    const db = await rig.nextStart('db')
    await (await rig.nextStart('web')).exit(1)
    await rig.nextStart('web')
    await db.notify()
    await graph.next('all_ready')
    const startedAt = graph.supervisor.graph.get('web')?.startedAt ?? performance.now()
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(1000)
  })

  test('is repeated if a service without a readiness probe exits directly after its first start', async () => {
    const folder = emptyFolder()
    const script = `test -e ${folder}/ran && exec sleep 1000; touch ${folder}/ran; exit 4`
    const graph = supervise([{ name: 'web', command: script, shell: true, restart: { backoffMs: 0 } }])
    const outcome = () => [
      graph.eventSequence('process_started'),
      graph.eventSequence('process_started', 'all_ready').at(-1),
    ]
    await expect.poll(outcome, { timeout: 10_000 }).toEqual([['started web', 'started web'], 'all_ready'])
  })
})
