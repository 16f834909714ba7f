import { constants } from 'node:os'
import type { ExitResult, StopReason } from './events.ts'

/** The code a shell shows for it: that of the process, or 128 and the number of the signal. */
function codeOfExit(exit: ExitResult): number {
  return exit.signal === null ? exit.code : 128 + constants.signals[exit.signal]
}

export interface Outcome {
  /** Null: nothing was left to supervise. */
  readonly reason: StopReason | null
  /** A process failed for good, or was skipped because one did. */
  readonly somethingFailed: boolean
  /** The last exit of the process of `--exit-code-from`; null without one, or if it never ran. */
  readonly exitOfNamed: ExitResult | null
  readonly namedWanted: boolean
}

const FAILURES: ReadonlySet<StopReason['type']> = new Set(['start_failed', 'process_failed', 'mqtt_broker_unreachable'])

/** The orchestrator's own exit code. A stop that somebody asked for is a success, whatever had failed before. */
export function exitCode({ reason, somethingFailed, exitOfNamed, namedWanted }: Outcome): number {
  if (reason?.type === 'signal' || reason?.type === 'asked') return 0
  if (reason !== null && FAILURES.has(reason.type)) return 1
  if (namedWanted) return exitOfNamed === null ? 1 : codeOfExit(exitOfNamed)
  if (reason?.type === 'exited') return codeOfExit(reason.exit)
  return somethingFailed ? 1 : 0
}
