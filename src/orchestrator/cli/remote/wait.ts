import { UserError } from '../../config/errors.ts'
import { type WaitAnswer, waitAnswerSchema } from '../../control/protocol.ts'
import type { WaitGoal } from '../../control/wait.ts'
import { formatDuration } from '../../supervisor/duration.ts'
import { LONGEST_TIMER_MS } from '../../supervisor/timers.ts'
import { ControlClient, EndedError, processQuery } from './control-client.ts'
import type { FileOptions } from '../options.ts'
import { withProgress } from './progress.ts'

export interface WaitOptions {
  /** Names and patterns; empty means all processes, or all tasks if the goal is `completed`. */
  readonly names: readonly string[]
  readonly goal: WaitGoal
  /** Null: no limit. */
  readonly timeoutMs: number | null
  readonly json: boolean
}

/** The time after the time limit in which the orchestrator answers; without an answer it is suspended or blocked. */
const GRACE_MS = 5000

/** Waits until processes are ready or completed. Throws a UserError with exit code 1 if they cannot be so, or not in time. */
export async function wait(file: FileOptions, options: WaitOptions): Promise<void> {
  const { names: awaited, goal } = options
  const answer = await withProgress(file, awaited, requestWait(file, options)).catch((error: unknown) => {
    if (!(error instanceof EndedError)) throw error
    const subject =
      awaited.length === 0 ? 'the processes were' : `${awaited.join(', ')} ${awaited.length === 1 ? 'was' : 'were'}`
    throw new UserError(`the orchestrator ended before ${subject} ${goal}`, 1)
  })
  if (options.json) process.stdout.write(`${JSON.stringify(answer)}\n`)
  const problem = describeOutcome(answer, options)
  if (problem !== null) throw new UserError(problem, 1)
  if (options.json) return
  const names = answer.processes.map(({ name }) => name)
  const result = `${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} ${options.goal}`
  process.stdout.write(`${names.length === 0 ? 'no process to wait for' : result}\n`)
}

type RequestedWait = Pick<WaitOptions, 'names' | 'goal' | 'timeoutMs'>

/** Requests the outcome. Rejects with an EndedError if the orchestrator ends before it is known. */
export async function requestWait(file: FileOptions, { names, goal, timeoutMs }: RequestedWait): Promise<WaitAnswer> {
  const query = processQuery(names)
  query.set('for', goal)
  if (timeoutMs !== null) query.set('timeout_ms', String(timeoutMs))
  const limit =
    timeoutMs === null ? {} : { signal: AbortSignal.timeout(Math.min(timeoutMs + GRACE_MS, LONGEST_TIMER_MS)) }
  const options = { hasTimeLimit: false, names, ...limit }
  return new ControlClient(file).call('GET', `/wait?${query.toString()}`, waitAnswerSchema, options)
}

/** Returns the reason why the processes are not all ready or completed; null if they are. */
export function describeOutcome(
  { outcome, processes }: WaitAnswer,
  { goal, timeoutMs }: Pick<WaitOptions, 'goal' | 'timeoutMs'>,
): string | null {
  if (outcome === 'met') return null
  const rest = processes.filter((result) => result.outcome === outcome)
  const reasons = rest.map(({ name, because }) => `${name} (${because ?? outcome})`).join(', ')
  if (outcome === 'never') return `cannot become ${goal}: ${reasons}`
  return `not ${goal} after ${formatDuration(timeoutMs ?? 0)}: ${reasons}`
}
