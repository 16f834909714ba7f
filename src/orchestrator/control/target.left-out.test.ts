import { expect, test } from 'vitest'
import {
  configOf,
  openRig,
  type ProcessSketch,
  supervise,
  type SupervisedGraph,
} from '../../../test/rig/orchestrator/supervised-graph.ts'
import { renderMetrics } from './metrics.ts'
import { ControlTarget } from './target.ts'

const leftOut = 'was left out by --disable'
const afterSuccess = (name: string) => ({ name, condition: 'completed_successfully' }) as const

function targetOf({ supervisor }: SupervisedGraph, reloaded: readonly ProcessSketch[] = []): ControlTarget {
  return new ControlTarget(supervisor, {
    load: () => configOf(reloaded),
    scale: () => configOf(reloaded),
    control: null,
    onReload: () => undefined,
    onApplied: () => undefined,
    onReloaded: () => undefined,
    onRejected: () => undefined,
  })
}

const statusOf = (target: ControlTarget, name: string) =>
  target.status().processes.find((process) => process.name === name)

//  web ── worker (left out)
test('a left-out process is in the status as disabled, and its dependents start without it (O-4)', async () => {
  const rig = await openRig()
  const graph = supervise([
    { name: 'a-worker-with-a-long-name', ...rig.program('worker'), leftOut },
    { name: 'web', ...rig.program('web'), dependsOn: [afterSuccess('a-worker-with-a-long-name')] },
  ])
  expect(await graph.next('all_ready')).toMatchObject({ count: 1 })
  const target = targetOf(graph)
  expect(statusOf(target, 'a-worker-with-a-long-name')).toMatchObject({
    state: 'disabled',
    reason: leftOut,
    ready: false,
    restarts: 0,
    pid: null,
  })
  const metrics = renderMetrics(target.status())
  expect(metrics).toContain('ponix_process_state{process="a-worker-with-a-long-name",state="disabled"} 1')
  expect(metrics).toContain('ponix_process_ready{process="web"} 1')
  expect(metrics).not.toContain('ponix_process_ready{process="a-worker-with-a-long-name"}')
  await (await rig.nextStart('web')).print('hello\n')
  await graph.stdout.holds('[web]          hello\n')
})

test('a left-out process does not keep the orchestrator running', async () => {
  const graph = supervise([
    { name: 'worker', command: 'sleep', args: ['600'], leftOut },
    { name: 'job', kind: 'task', command: 'true' },
  ])
  expect(await graph.ended).toEqual({ exitCode: 0 })
  expect(graph.eventSequence('process_started')).toEqual(['started job'])
})

//  web ── worker (left out)
test('start runs a left-out process, which is then a process like all others', async () => {
  const rig = await openRig()
  const graph = supervise([
    { name: 'worker', ...rig.program('worker'), leftOut },
    { name: 'web', ...rig.program('web'), dependsOn: [{ name: 'worker', condition: 'started' }] },
  ])
  await graph.next('all_ready')
  const target = targetOf(graph)
  await target.act('start', ['worker'])
  expect(statusOf(target, 'worker')).toMatchObject({ state: 'running', reason: null, ready: true })
  await (await rig.nextStart('worker')).exit(1)
  await rig.nextStart('worker')
  await target.act('stop', ['worker'])
  expect(statusOf(target, 'worker')).toMatchObject({ state: 'stopped' })
  expect(await graph.stop()).toEqual({ exitCode: 0 })
})

test('start of a left-out process with a problem fails with the problem and changes nothing', async () => {
  const graph = supervise([
    { name: 'web', command: 'sleep', args: ['600'] },
    { name: 'other', command: 'sleep', args: ['600'], leftOut },
    { name: 'worker', command: 'sleep', args: ['600'], leftOut, problem: 'args[0]: "X" is not set' },
  ])
  await graph.next('all_ready')
  const target = targetOf(graph)
  await expect(target.act('start', ['other', 'worker'])).rejects.toThrow(
    '"worker" cannot be started: args[0]: "X" is not set',
  )
  expect(statusOf(target, 'other')).toMatchObject({ state: 'disabled' })
})

test.each(['stop', 'restart'] as const)(
  '%s of a left-out process is rejected with the command to start it',
  async (verb) => {
    const graph = supervise([
      { name: 'web', command: 'sleep', args: ['600'] },
      { name: 'worker', command: 'sleep', args: ['600'], leftOut },
    ])
    await graph.next('all_ready')
    const target = targetOf(graph)
    await expect(target.act(verb, ['web', 'worker'])).rejects.toThrow(
      '"worker" is not running: it was left out by --disable; start it with: ponix-orchestrator start worker',
    )
    expect(statusOf(target, 'web')).toMatchObject({ state: 'running', restarts: 0 })
    expect(statusOf(target, 'worker')).toMatchObject({ state: 'disabled' })
  },
)

test('stop of a replicated process stops its running instances only', async () => {
  const worker = { configName: 'worker', command: 'sleep', args: ['600'] }
  const graph = supervise([
    { name: 'worker#1', ...worker },
    { name: 'worker#2', ...worker, leftOut },
  ])
  await graph.next('all_ready')
  const target = targetOf(graph)
  await target.act('stop', target.resolveNames(['worker']))
  expect(target.status().processes).toMatchObject([{ state: 'stopped' }, { state: 'disabled' }])
})

test('a reload keeps a left-out process as it is, starts one that joins the run, and stops one that leaves it (O-39)', async () => {
  const rig = await openRig()
  const asleep = { name: 'asleep', ...rig.program('asleep'), leftOut }
  const awake = { name: 'awake', ...rig.program('awake'), leftOut }
  const joins = { name: 'joins', ...rig.program('joins') }
  const leaves = { name: 'leaves', ...rig.program('leaves') }
  const graph = supervise([asleep, awake, { ...joins, leftOut }, leaves])
  const first = await rig.nextStart('leaves')
  const target = targetOf(graph, [asleep, awake, joins, { ...leaves, leftOut }])
  await target.act('start', ['awake'])
  const kept = await rig.nextStart('awake')
  expect(await target.configuration.reload()).toMatchObject({
    added: ['joins'],
    removed: ['leaves'],
    changed: [],
    unchanged: ['asleep', 'awake'],
  })
  await rig.nextStart('joins')
  expect(first.isGone).toBe(true)
  expect(kept.isGone).toBe(false)
  expect(statusOf(target, 'leaves')).toMatchObject({ state: 'disabled', reason: leftOut })
  expect(statusOf(target, 'asleep')).toMatchObject({ state: 'disabled' })
})

test('a reload restarts a changed left-out process that was started manually, and no other', async () => {
  const rig = await openRig()
  const changed = (name: string) => ({ name, ...rig.program(name), leftOut, cwd: '/' })
  const graph = supervise([
    { name: 'web', command: 'sleep', args: ['600'] },
    { ...changed('awake'), cwd: '/tmp' },
    { ...changed('asleep'), cwd: '/tmp' },
    { ...changed('again'), cwd: '/tmp' },
  ])
  await graph.next('all_ready')
  const target = targetOf(graph, [
    { name: 'web', command: 'sleep', args: ['600'] },
    changed('awake'),
    changed('asleep'),
    changed('again'),
  ])
  await target.act('start', ['awake', 'again'])
  await target.act('stop', ['again'])
  const first = await rig.nextStart('awake')
  await target.configuration.reload()
  await first.gone
  await rig.nextStart('awake')
  expect(statusOf(target, 'asleep')).toMatchObject({ state: 'disabled' })
  expect(statusOf(target, 'again')).toMatchObject({ state: 'disabled' })
})

test('a pattern selects no left-out process', async () => {
  const graph = supervise([
    { name: 'web', command: 'sleep', args: ['600'] },
    { name: 'worker', command: 'sleep', args: ['600'], leftOut },
  ])
  await graph.next('all_ready')
  const target = targetOf(graph)
  await target.act('stop', ['all'])
  await target.act('start', ['*'])
  expect(target.status().processes).toMatchObject([{ state: 'running' }, { state: 'disabled' }])
  await expect(target.act('restart', ['work*'])).rejects.toThrow(
    '"work*" selects no stopped or disabled process (worker)',
  )
})
