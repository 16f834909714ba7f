import { expect, test } from 'vitest'
import { EndedRuns } from './ended-runs.ts'
import type { ProcessState } from './state.ts'

const exit = { code: 0, signal: null } as const
const completed = { type: 'completed', exit } as const
const failed = { type: 'failed', reason: 'exited with code 3', exit: { code: 3, signal: null } } as const
const skipped = { type: 'skipped', because: '"db" failed' } as const
const waiting = { type: 'waiting' } as const
const running = { type: 'running', attempt: 0, pid: 1 } as const
const backoff = { type: 'backoff', attempt: 1, waitMs: 1, reason: 'exited with code 3', exit: failed.exit } as const
const stopped = { type: 'stopped', exit: null } as const

test.each<[string, readonly ProcessState[], count: number, last: ProcessState | null, lastSuccessAt: number | null]>([
  ['no run', [{ type: 'scheduled' }, waiting, running], 0, null, null],
  ['a success', [waiting, running, completed], 1, completed, 2],
  ['a failure after a success', [running, completed, waiting, running, failed], 2, failed, 1],
  ['a retry', [running, backoff, running, completed], 1, completed, 3],
  ['a skipped run', [waiting, skipped], 1, skipped, null],
  ['a stop', [running, stopped], 0, null, null],
])('%s', (_title, states, count, last, lastSuccessAt) => {
  const runs = new EndedRuns()
  states.slice(1).forEach((state, index) => runs.onChange(states[index] ?? state, state, index + 1))
  expect([runs.count, runs.last, runs.lastSuccessAt]).toEqual([count, last, lastSuccessAt])
})
