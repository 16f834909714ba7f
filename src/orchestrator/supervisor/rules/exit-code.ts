import type { ExitResult, StopReason } from '../events.ts'
import type { GraphProcess, ProcessGraph } from './graph.ts'
import { shellCodeOf } from './restart-policy.ts'

export interface RunOutcome {
  /** Null: no process was left to supervise. */
  readonly reason: StopReason | null
  /** True if a process has failed permanently, or is skipped because of such a failure. */
  readonly hasFailures: boolean
  /** True if `--exit-code-from` was given. */
  readonly isCodeFromProcess: boolean
  /** The last exit of that process; null if it never ran. */
  readonly exitOfProcess: ExitResult | null
}

export function outcomeOf(
  graph: ProcessGraph<GraphProcess>,
  reason: StopReason | null,
  exitCodeFrom: string | null,
): RunOutcome {
  const state = exitCodeFrom === null ? undefined : graph.get(exitCodeFrom)?.state
  return {
    reason,
    hasFailures: graph.all.some((managed) => managed.state.type === 'failed' || managed.state.type === 'skipped'),
    isCodeFromProcess: exitCodeFrom !== null,
    exitOfProcess: state !== undefined && 'exit' in state ? state.exit : null,
  }
}

const FAILURES: ReadonlySet<StopReason['type']> = new Set(['start_failed', 'process_failed', 'mqtt_broker_unreachable'])

/** Returns the exit code of the orchestrator. After a stop by signal or command it is 0, regardless of earlier failures. */
export function exitCodeOf({ reason, hasFailures, isCodeFromProcess, exitOfProcess }: RunOutcome): number {
  if (reason?.type === 'signal' || reason?.type === 'key' || reason?.type === 'asked') return 0
  if (reason !== null && FAILURES.has(reason.type)) return 1
  if (isCodeFromProcess) return exitOfProcess === null ? 1 : shellCodeOf(exitOfProcess)
  if (reason?.type === 'exited') return shellCodeOf(reason.exit)
  return hasFailures ? 1 : 0
}
