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
}

/** States that the process leaves only by a command. */
const ENDED = new Set(['failed', 'skipped', 'stopped', 'disabled', 'completed'])

/** Returns whether all processes have reached the goal, can still reach it, or at least one of them no longer can. */
export function waitAnswer(
  processes: readonly AwaitedProcess[],
  goal: WaitGoal,
  missing: readonly string[] = [],
): WaitAnswer {
  const results = [
    ...processes.map((awaited) => ({ name: awaited.name, ...resultOf(awaited, goal) })),
    ...missing.map((name) => ({ name, outcome: 'never' as const, because: 'removed by a reload' })),
  ]
  const has = (outcome: WaitAnswer['outcome']) => results.some((result) => result.outcome === outcome)
  return { outcome: has('never') ? 'never' : has('pending') ? 'pending' : 'met', processes: results }
}

type Result = Omit<WaitAnswer['processes'][number], 'name'>

function resultOf({ state, ready, reason, detail, comesBack }: AwaitedProcess, goal: WaitGoal): Result {
  if (comesBack) return { outcome: 'pending', because: detail ?? 'restarting' }
  if (goal === 'ready' ? ready : state === 'completed') return { outcome: 'met', because: null }
  if (!ENDED.has(state)) return { outcome: 'pending', because: detail ?? state }
  const separator = state === 'skipped' ? ' because ' : ': '
  return { outcome: 'never', because: reason === null ? state : `${state}${separator}${reason}` }
}
