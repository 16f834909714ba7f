import { beforeEach, describe, expect, it } from 'vitest'
import { costedTask, VirtualWorkers } from '../../../test/rig/adapters/virtual-workers.ts'
import type { CostedTask, Served } from '../../../test/rig/adapters/virtual-workers.ts'

let workers: VirtualWorkers

beforeEach(() => {
  workers = new VirtualWorkers()
})

/** Runs for a virtual time with `open` unanswered tasks of each source of tasks; a task is followed by the next of its source. */
function runWithBacklog(untilMs: number, sources: readonly { open: number; next(): CostedTask }[]): void {
  const owners = new Map<CostedTask, (typeof sources)[number]>()
  const submitNext = (source: (typeof sources)[number]): void => {
    const task = source.next()
    owners.set(task, source)
    workers.submit(task)
  }
  for (const source of sources) for (let index = 0; index < source.open; index++) submitNext(source)
  let seen = 0
  while (workers.nowMs < untilMs) {
    if (!workers.step()) break
    workers.synchronize()
    const answered = workers.served.slice(seen).map(({ task }) => task)
    seen = workers.served.length
    for (const task of answered) {
      const source = owners.get(task)
      owners.delete(task)
      if (source !== undefined) submitNext(source)
    }
  }
}

function timeOf(organizationId: string, served: readonly Served[] = workers.served): number {
  return served.filter(({ task }) => task.organizationId === organizationId).reduce((sum, { ranMs }) => sum + ranMs, 0)
}

function refusalsOf(organizationId: string): number {
  return [...workers.unserved.keys()].filter((task) => task.organizationId === organizationId).length
}

/** Creates devices in turn, each with the task that `task` returns for its number. */
function inTurn(devices: number, task: (device: number) => CostedTask): () => CostedTask {
  let number = 0
  return () => task(number++ % devices)
}

describe('B-1: the cost of an expression', () => {
  it('is known for 200,000 devices that share 50 expressions', () => {
    for (let device = 0; device < 200_000; device++) {
      workers.submit(costedTask('a', `expression ${device % 50}`, 0.01))
      if (device % 500 === 499) workers.drain()
    }
    const quick = workers.served.filter(({ lane }) => lane === 'quick').length
    expect(workers.served).toHaveLength(200_000)
    expect(quick / workers.served.length).toBeGreaterThan(0.99)
  })

  it('of 9 ms delays a quick expression of another organization by two evaluations at most', () => {
    for (const task of [costedTask('a', 'expensive', 9), costedTask('b', 'cheap', 0.01)]) {
      for (let time = 0; time < 10; time++) {
        workers.submit({ ...task })
        workers.drain()
      }
    }
    workers.synchronize()
    for (let index = 0; index < 50; index++) workers.submit(costedTask('a', 'expensive', 9))
    const startMs = workers.nowMs
    for (let index = 0; index < 50; index++) workers.submit(costedTask('b', 'cheap', 0.01))
    workers.drain()
    const ends = workers.served.slice(-100).filter(({ task }) => task.organizationId === 'b')
    expect(Math.max(...ends.map(({ atMs }) => atMs)) - startMs).toBeLessThan(20)
  })

  it('that is slow once in a hundred times keeps it out of the quick lane', () => {
    let count = 0
    const costMs = (): number => (++count % 100 === 0 ? 200 : 0.1)
    runWithBacklog(60_000, [{ open: 1, next: () => costedTask('a', 'sometimes slow', costMs()) }])
    const slow = workers.served.filter(({ ranMs }) => ranMs > 10)
    expect(slow.length).toBeGreaterThan(100)
    expect(slow.filter(({ lane }) => lane === 'quick').length).toBeLessThanOrEqual(slow.length / 20)
  })
})

describe('B-3: the share of an organization', () => {
  it.each([64, 1000])('is half of the time beside %i slow devices of another organization', (devices) => {
    const slow = inTurn(devices, (device) => costedTask('a', `slow ${device}`, 200))
    runWithBacklog(120_000, [
      { open: devices, next: slow },
      { open: 20, next: () => costedTask('b', 'moderate', 12) },
    ])
    expect(refusalsOf('b')).toBe(0)
    expect(timeOf('b') / (timeOf('a') + timeOf('b'))).toBeGreaterThan(0.4)
  })

  it('is kept beside a thousand expressions of another organization that do not end', () => {
    const endless = inTurn(1000, (device) => costedTask('a', `endless ${device}`, Infinity))
    runWithBacklog(120_000, [
      { open: 64, next: endless },
      { open: 20, next: () => costedTask('b', 'moderate', 12) },
    ])
    expect(refusalsOf('b')).toBe(0)
    expect(timeOf('b')).toBeGreaterThan(0.4 * workers.nowMs)
  })

  it('is shared fairly by its expressions', () => {
    runWithBacklog(120_000, [
      { open: 64, next: () => costedTask('a', 'slow', 200) },
      { open: 5, next: () => costedTask('a', 'moderate', 12) },
    ])
    const siblings = workers.served.filter(({ task }) => task.codec.source === 'moderate')
    expect([...workers.unserved.keys()].filter(({ codec }) => codec.source === 'moderate')).toEqual([])
    expect(timeOf('a', siblings) / timeOf('a')).toBeGreaterThan(0.4)
  })
})

describe('B-13: an expression that does not end', () => {
  it('costs at most six stops, on however many devices it is', () => {
    for (let device = 0; device < 10; device++) workers.submit(costedTask('a', 'endless', Infinity))
    workers.drain()
    expect(workers.stops).toBe(6)
    const reasons = [...workers.unserved.values()].map((result) => 'reason' in result && result.reason)
    expect(reasons.filter((reason) => String(reason).includes('quarantined'))).toHaveLength(7)
  })

  it('is quarantined only in its organization', () => {
    for (let device = 0; device < 4; device++) {
      workers.submit(costedTask('a', 'endless', Infinity))
      workers.drain()
    }
    expect(workers.stops).toBe(6)
    const sameSource = costedTask('b', 'endless', 5)
    workers.submit(sameSource)
    workers.drain()
    expect(workers.unserved.has(sameSource)).toBe(false)
    expect(workers.served.at(-1)?.task).toBe(sameSource)
  })
})
