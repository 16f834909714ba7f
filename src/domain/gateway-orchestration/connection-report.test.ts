import { expect, test } from 'vitest'
import { isReportDue } from './connection-report.ts'
import type { GatewayProcessStatus } from './gateway-process.ts'

function status(change: Partial<GatewayProcessStatus> = {}): GatewayProcessStatus {
  const counts = { failures: 0, messages: 0, events: {}, refused: {}, lastError: null }
  return { state: 'running', sinceMs: 0, startedAtMs: 0, ...counts, ...change }
}

const running = status()

test.each<[string, GatewayProcessStatus | null, GatewayProcessStatus, number, boolean]>([
  ['a gateway that runs', null, running, 0, true],
  ['a gateway that starts', null, status({ state: 'starting' }), 4_999, false],
  ['a gateway that has been starting for five seconds', null, status({ state: 'starting' }), 5_000, true],
  ['a connection that was lost', running, status({ state: 'interrupted', sinceMs: 1_000 }), 5_999, false],
  [
    'a connection that was lost five seconds ago',
    running,
    status({ state: 'interrupted', sinceMs: 1_000 }),
    6_000,
    true,
  ],
  ['a connection that was restored', running, status({ sinceMs: 1_000 }), 1_000, true],
  ['a gateway that fails', running, status({ state: 'failing', sinceMs: 1_000 }), 1_000, true],
  ['a message', running, status({ messages: 1 }), 59_999, false],
  ['a message after a minute', running, status({ messages: 1 }), 60_000, true],
  ['an error of a message', running, status({ lastError: 'x' }), 59_999, false],
  ['an unchanged status', running, running, 299_999, false],
  ['an unchanged status after five minutes', running, running, 300_000, true],
  ['a gateway that stopped', running, status({ state: 'stopped', sinceMs: 1_000 }), 600_000, false],
])('G-14: the report of %s is due or not', (_title, reported, next, nowMs, expected) => {
  expect(isReportDue(reported === null ? null : { status: reported, atMs: 0 }, next, nowMs)).toBe(expected)
})
