import { formatDuration } from '../supervisor/duration.ts'
import { READY_AFTER_MS } from '../supervisor/rules/settling.ts'
import type { WaitAnswer } from './protocol.ts'

export const waitGoals = ['ready', 'completed'] as const
export type WaitGoal = (typeof waitGoals)[number]

/** A process that a request waits for. */
export interface AwaitedProcess {
  readonly name: string
  /** A state of supervisor/state.ts. */
  readonly state: string
  readonly ready: boolean
  /** The reason of its state, such as that of a failure; null if there is none. */
  readonly reason: string | null
  /** What the process waits for; null if it waits for nothing. */
  readonly detail: string | null
  /** True while a restart or a reload stops it and starts it again. */
  readonly comesBack: boolean
  /** False for a service that its policy restarts after every exit. */
  readonly canComplete: boolean
  /** See `settlesInMs` of supervisor/rules/settling.ts. */
  readonly settlesInMs: number
  /** The consecutive restarts of a service without a readiness probe; null for any other process. */
  readonly restartsInRow: number | null
  /** Null for a process without a schedule. `result`: of the first run that has ended since the request; null before. */
  readonly scheduledRun: { readonly result: RunResult | null } | null
}

interface RunResult {
  readonly state: 'completed' | 'failed' | 'skipped'
  readonly reason: string | null
}

/** The number of consecutive restarts after which a request without a time limit stops waiting. */
const MAX_RESTARTS = 5

const RESTARTS_ALWAYS =
  'restarts after every exit: wait until it is ready, or set "kind": "task" or "restart": {"policy": "on_failure"}'

/** States that the process leaves only by a command. */
const ENDED = new Set(['failed', 'skipped', 'stopped', 'disabled', 'completed'])
/** Those of them that a task also leaves by its schedule. */
const RESULTS = new Set(['failed', 'skipped', 'completed'])

export interface WaitRequest {
  readonly goal: WaitGoal
  /** True if the request has a time limit. */
  readonly hasLimit: boolean
}

/** Returns whether all processes have reached the goal, can still reach it, or at least one of them no longer can. */
export function waitAnswer(
  processes: readonly AwaitedProcess[],
  request: WaitRequest,
  missing: readonly string[] = [],
): WaitAnswer {
  const results = [
    ...processes.map((awaited) => ({ name: awaited.name, ...resultOf(awaited, request) })),
    ...missing.map((name) => ({ name, outcome: 'never' as const, because: 'removed by a reload or scale' })),
  ]
  const has = (outcome: WaitAnswer['outcome']) => results.some((result) => result.outcome === outcome)
  return { outcome: has('never') ? 'never' : has('pending') ? 'pending' : 'met', processes: results }
}

type Result = Omit<WaitAnswer['processes'][number], 'name'>

function resultOf(awaited: AwaitedProcess, { goal, hasLimit }: WaitRequest): Result {
  const { state, ready, reason, detail, comesBack, canComplete, settlesInMs, restartsInRow, scheduledRun } = awaited
  if (goal === 'completed' && scheduledRun !== null) {
    const { result } = scheduledRun
    if (result?.state === 'completed') return { outcome: 'met', because: null }
    if (result !== null) return { outcome: 'never', because: describeEnd(result) }
    if (RESULTS.has(state)) return { outcome: 'pending', because: detail ?? state }
  }
  if (comesBack) return { outcome: 'pending', because: detail ?? 'restarting' }
  if (goal === 'completed' && !canComplete && !ENDED.has(state)) return { outcome: 'never', because: RESTARTS_ALWAYS }
  if (goal === 'ready' && ready && settlesInMs > 0) {
    return { outcome: 'pending', because: detail ?? `running for less than ${formatDuration(READY_AFTER_MS)}` }
  }
  if (goal === 'ready' ? ready : state === 'completed') return { outcome: 'met', because: null }
  const isLoop = state === 'backoff' && restartsInRow !== null && restartsInRow >= MAX_RESTARTS
  if (goal === 'ready' && isLoop && !hasLimit) {
    return {
      outcome: 'never',
      because: `has ended ${restartsInRow} times in a row; with a time limit the wait continues; ${detail ?? state}`,
    }
  }
  if (!ENDED.has(state)) return { outcome: 'pending', because: detail ?? state }
  return { outcome: 'never', because: describeEnd({ state, reason }) }
}

function describeEnd({ state, reason }: Pick<AwaitedProcess, 'state' | 'reason'>): string {
  return reason === null ? state : `${state}${state === 'skipped' ? ' because ' : ': '}${reason}`
}
