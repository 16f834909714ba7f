import { describe, expect, test } from 'vitest'
import { configOf } from '../../../../test/rig/orchestrator/supervised-graph.ts'
import { afterExit, outcomeOfExit } from './exit-outcome.ts'
import type { Ended } from './restart-policy.ts'
import { type Goal, UP } from './state.ts'

const BY_HAND: Goal = { type: 'down', reason: 'by_hand' }
const ENDED_RUN: Goal = { type: 'down', reason: 'ended_run' }

function endedOf(kind: 'service' | 'task'): Ended {
  const [definition] = configOf([{ name: 'a', command: 'true', kind }]).processes
  if (definition === undefined) throw new Error('no process')
  const { restart, successExitCodes } = definition
  return { kind, restart, successExitCodes, attempt: 0, recentRestarts: 0, startsBeforeUp: 1, uptimeMs: 5, random: 0 }
}

describe('an exit without a request', () => {
  test.each<['service' | 'task', number, Goal, decision: string, completes: boolean, warns: boolean, next: string]>([
    ['service', 0, UP, 'backoff', false, true, 'backoff'],
    ['service', 3, UP, 'backoff', false, false, 'backoff'],
    ['service', 0, BY_HAND, 'backoff', false, false, 'stopped'],
    ['service', 0, ENDED_RUN, 'backoff', false, false, 'completed'],
    ['task', 0, UP, 'completed', true, false, 'completed'],
    ['task', 3, UP, 'failed', false, false, 'failed'],
    ['task', 0, BY_HAND, 'completed', false, false, 'completed'],
    ['task', 3, BY_HAND, 'failed', false, false, 'stopped'],
    ['task', 3, ENDED_RUN, 'failed', false, false, 'completed'],
  ])(
    'of a %s with code %d and the goal %j is %s, completes %s, warns %s, and then %s',
    (kind, code, goal, type, completes, warns, next) => {
      const [ended, exit] = [endedOf(kind), { code, signal: null }]
      const outcome = outcomeOfExit(ended, exit, goal)
      expect(outcome).toMatchObject({ decision: { type }, succeeded: code === 0, completes, warns })
      expect(afterExit(outcome.decision, ended, exit, goal).type).toBe(next)
    },
  )
})
