import type { ExitResult } from '../events.ts'
import { decideAfterExit, type Ended, hasSucceeded, isSuccess, type RestartDecision } from './restart-policy.ts'
import type { Goal } from './state.ts'

/** The meaning of an exit that nothing has requested. */
export interface ExitOutcome {
  readonly decision: RestartDecision
  /** True if the exit code is one of `success_exit_codes`. */
  readonly succeeded: boolean
  /** True if the process is completed by itself. */
  readonly completes: boolean
  /** True if processes that it has left are a reason for a warning: tasks and services that are completed keep their daemons. */
  readonly warns: boolean
}

/** Returns the meaning of an exit by the restart policy of the process. */
export function outcomeOfExit(ended: Ended, exit: ExitResult, goal: Goal): ExitOutcome {
  const decision = decideAfterExit(ended, exit)
  const isUp = goal.type === 'up'
  return {
    decision,
    succeeded: isSuccess(ended, exit),
    completes: decision.type === 'completed' && isUp,
    warns: exit.code === 0 && decision.type !== 'completed' && isUp,
  }
}

/** Returns what follows an exit: the decision of the restart policy only while the goal is up. */
export function afterExit(
  decision: RestartDecision,
  ended: Ended,
  exit: ExitResult,
  goal: Goal,
): RestartDecision | { readonly type: 'stopped' } {
  if (goal.type === 'up') return decision
  return { type: goal.reason === 'ended_run' || hasSucceeded(ended, exit) ? 'completed' : 'stopped' }
}
