import { describe, expect, it } from 'vitest'
import { GraphStatus } from './systemd-notify.ts'
import type { SupervisorEvent } from '../../supervisor/events.ts'

const started = (process: string): SupervisorEvent => ({
  type: 'process_started',
  process,
  pid: 1,
  attempt: 0,
  again: false,
})
const ready = (process: string): SupervisorEvent => ({
  type: 'process_ready',
  process,
  afterMs: 1,
  wasUnhealthy: false,
})
const exited = (process: string): SupervisorEvent => ({
  type: 'process_exited',
  process,
  exit: { code: 1, signal: null },
  succeeded: false,
  completes: false,
  uptimeMs: 1,
})
const allReady: SupervisorEvent = { type: 'all_ready', afterMs: 1, count: 3 }

function textsAfter(...events: readonly SupervisorEvent[]): readonly string[] {
  const status = new GraphStatus(() => [
    { name: 'db', readinessProbe: {} },
    { name: 'migrate', readinessProbe: null },
    { name: 'web', readinessProbe: null },
  ])
  return events.map((event) => {
    status.apply(event)
    return status.text
  })
}

describe('GraphStatus (O-40)', () => {
  it('counts processes whose probe succeeds, completed tasks, and running processes without a probe', () => {
    const texts = textsAfter(
      started('db'),
      ready('db'),
      { type: 'process_completed', process: 'migrate', exit: { code: 0, signal: null }, afterMs: 1 },
      started('web'),
      allReady,
    )
    expect(texts).toEqual(['0 of 3 ready', '1 of 3 ready', '2 of 3 ready', 'ready', 'ready'])
  })

  it('names processes that are no longer ready until they are again', () => {
    const up = [ready('db'), started('migrate'), started('web'), allReady] as const
    const unhealthy: SupervisorEvent = { type: 'process_unhealthy', process: 'db', reason: 'x' }
    expect(textsAfter(...up, unhealthy, exited('web'), started('web'), ready('db')).slice(4)).toEqual([
      '2 of 3 ready; not ready: db',
      '1 of 3 ready; not ready: db, web',
      '2 of 3 ready; not ready: db',
      'ready',
    ])
  })

  it('follows changes of the graph', () => {
    const graph = [{ name: 'a', readinessProbe: null }]
    const status = new GraphStatus(() => graph)
    for (const event of [started('a'), allReady]) status.apply(event)
    graph.push({ name: 'b', readinessProbe: null })
    expect(status.text).toBe('1 of 2 ready; not ready: b')
    graph.shift()
    status.apply(started('b'))
    expect(status.text).toBe('ready')
  })

  it('names what the graph waits for until that changes (O-46)', () => {
    const waiting: SupervisorEvent = {
      type: 'waiting',
      cause: 'db',
      text: 'waiting for db: starting',
      waiters: ['web'],
    }
    expect(textsAfter(started('migrate'), waiting, exited('web'), ready('db'))).toEqual([
      '1 of 3 ready',
      '1 of 3 ready; waiting for db: starting',
      '1 of 3 ready; waiting for db: starting',
      '2 of 3 ready',
    ])
  })

  it('reports the stop', () => {
    const stopping: SupervisorEvent = { type: 'stopping', reason: { type: 'signal', signal: 'SIGTERM' } }
    expect(textsAfter(started('web'), stopping, exited('web'))).toEqual(['1 of 3 ready', 'stopping', 'stopping'])
  })
})
