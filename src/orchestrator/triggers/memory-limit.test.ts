import { describe, expect, test } from 'vitest'
import { openRig, supervise } from '../../../test/rig/orchestrator/supervised-graph.ts'
import { trigger } from '../../../test/rig/orchestrator/triggered-graph.ts'
import { MemoryLimits } from './memory-limit.ts'

const restart = {
  policy: 'always',
  backoffMs: 500,
  maxBackoffMs: 1500,
  jitter: 0,
  resetAfterMs: 30_000,
  maxAttempts: Infinity,
  startupAttempts: Infinity,
  windowMs: null,
} as const

describe('a process that exceeds its memory limit', () => {
  const used = (memoryBytes: number, uptimeMs = 1000, name = 'worker') => ({
    name,
    limit: 150_000_000,
    memoryBytes,
    uptimeMs,
    restart,
  })

  test('restarts immediately the first time, then with a growing backoff until it has run for long enough', () => {
    const limits = new MemoryLimits()
    const waits = [1000, 1000, 1000, 1000, 30_000, 1000].map((uptimeMs) => limits.decide(used(2e8, uptimeMs))?.waitMs)
    expect(waits).toEqual([0, 500, 1000, 1500, 0, 500])
    expect(limits.decide(used(2e8, 1000, 'other'))?.waitMs).toBe(0)
  })

  test.each([
    [150_000_000, null],
    [0, null],
    [150_000_001, 'its memory of 151 MB exceeds the memory_limit of 150 MB'],
    [163_000_000, 'its memory of 163 MB exceeds the memory_limit of 150 MB'],
  ])('of 150 MB is decided by its usage: %i bytes', (bytes, because) => {
    expect(new MemoryLimits().decide(used(bytes))?.because ?? null).toBe(because)
  })
})

/** A program that allocates 100 MB. */
const hungry = {
  command: process.execPath,
  args: ['-e', 'const held = Buffer.alloc(100e6, 1); setInterval(() => held.length, 1e3)'],
}

describe('memory_limit', () => {
  test('stops the process in order and starts it again, with its followers, without counting an attempt', async () => {
    const rig = await openRig()
    const graph = trigger([
      { name: 'web', ...rig.program('web') },
      { name: 'worker', ...hungry, memoryLimit: 90_000_000, restart: { ...restart, maxAttempts: 0 } },
      {
        name: 'follower',
        ...rig.program('follower'),
        dependsOn: [{ name: 'worker', condition: 'started' }],
        onDependencyRestart: 'restart',
      },
    ])
    await rig.nextStart('web')
    await rig.nextStart('follower')
    const { because } = await graph.next('process_restarting', 'worker')
    expect(because).toMatch(/^its memory of \d+ MB exceeds the memory_limit of 90 MB$/)
    await rig.nextStart('follower')
    await graph.next('process_restarting', 'worker')
    expect(await graph.next('restart_scheduled', 'worker')).toMatchObject({ attempt: 0, waitMs: 0 })
    expect(await graph.next('restart_scheduled', 'worker')).toMatchObject({ attempt: 0, waitMs: 500 })
    await rig.nextStart('follower')
    expect(rig.starts('web')).toBe(1)
    // The third start can be over its limit already.
    expect(graph.supervisor.graph.get('worker')?.restarts.count).toBeGreaterThanOrEqual(2)
    expect(graph.events.map(({ type }) => type)).not.toContain('process_failed')
    expect(graph.eventSequence('process_stopping', 'process_exited').slice(0, 1)).toEqual(['stopping worker'])
  })

  test('counts the whole process group', async () => {
    const [node, flag, program] = [hungry.command, ...hungry.args]
    const command = `'${node}' ${flag} '${program}' & '${node}' ${flag} '${program}' & wait`
    const graph = trigger([{ name: 'pair', command, shell: true, memoryLimit: 220_000_000 }])
    const { because } = await graph.next('process_restarting', 'pair')
    expect(Number(/\d+/.exec(because)?.[0])).toBeGreaterThan(220)
  })

  test('does not restart a process below its limit', async () => {
    const rig = await openRig()
    const graph = trigger([
      { name: 'small', ...rig.program('small'), memoryLimit: 1e9 },
      { name: 'worker', ...hungry, memoryLimit: 90_000_000 },
    ])
    await rig.nextStart('small')
    await graph.next('process_restarting', 'worker')
    expect(rig.starts('small')).toBe(1)
  })
})

test('a process that is recycled while it stops is stopped once, and then stays down', async () => {
  const rig = await openRig()
  const graph = supervise([{ name: 'a', ...rig.program('a') }])
  const child = await rig.nextStart('a')
  await child.keep('SIGTERM')
  const stopped = graph.supervisor.commands.stop(['a'])
  expect(await child.nextSignal()).toBe('SIGTERM')
  graph.supervisor.triggered.recycle('a', 0, 'too large')
  await child.exit(0)
  await stopped
  expect(graph.supervisor.graph.get('a')?.state.type).toBe('stopped')
  expect(graph.eventSequence('process_restarting')).toEqual([])
})
