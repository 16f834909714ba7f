import { expect, test } from 'vitest'
import { reportDueAtMs, ReportSchedule } from './connection-report.ts'
import type { GatewayProcessStatus } from './gateway-process.ts'

function status(change: Partial<GatewayProcessStatus> = {}): GatewayProcessStatus {
  const counts = { failures: 0, messages: 0, events: {}, refused: {}, lastError: null, connectedTo: null }
  return { state: 'running', sinceMs: 0, startedAtMs: 0, ...counts, ...change }
}

const running = status()

test.each<[string, GatewayProcessStatus | null, GatewayProcessStatus, number]>([
  ['a gateway that runs', null, running, 0],
  ['a gateway that starts', null, status({ state: 'starting', sinceMs: 100 }), 5_100],
  ['a connection that was lost', running, status({ state: 'interrupted', sinceMs: 1_000 }), 6_000],
  ['a connection that was restored', running, status({ sinceMs: 1_000 }), 1_000],
  ['a gateway that fails', running, status({ state: 'failing', sinceMs: 1_000 }), 1_000],
  ['a message', running, status({ messages: 1 }), 60_000],
  ['an error of a message', running, status({ lastError: 'x' }), 60_000],
  ['an unchanged status', running, running, 300_000],
  ['a gateway that stopped', running, status({ state: 'stopped', sinceMs: 1_000 }), Infinity],
])('G-14: the report of %s is due at its time', (_title, reported, next, expected) => {
  expect(reportDueAtMs(reported === null ? null : { status: reported, atMs: 0 }, next)).toBe(expected)
})

test('G-12: the schedule returns each gateway once, when its last time has come', () => {
  const schedule = new ReportSchedule()
  schedule.set('a', 60_000)
  schedule.set('b', 5_100)
  schedule.set('c', 5_000)
  schedule.set('a', 300_000)
  schedule.set('d', 5_000)
  schedule.delete('d')
  schedule.set('c', Infinity)
  expect(schedule.take(5_999)).toEqual([])
  expect(schedule.take(6_000)).toEqual(['b'])
  expect(schedule.take(299_999)).toEqual([])
  schedule.set('b', 5_100)
  expect(schedule.take(300_000).toSorted()).toEqual(['a', 'b'])
  expect(schedule.take(Infinity)).toEqual([])
})
