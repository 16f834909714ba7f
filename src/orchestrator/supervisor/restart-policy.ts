import type { ResolvedProcess, ResolvedRestart } from '../config/resolved.ts'
import type { ExitResult } from './events.ts'
import type { ProcessState, Verdict } from './state.ts'

/** Beyond this exponent every wait is past any maximum; 2^1024 would be Infinity, and 0 · Infinity not a number. */
const LARGEST_EXPONENT = 52

/**
 * Milliseconds before restart number `attempt` (1 is the first): min(max, backoff · 2^(attempt−1)), of which the fraction
 * `jitter` is random. `random` is from 0 up to 1. Never more than the maximum.
 */
export function backoffDelay(attempt: number, restart: ResolvedRestart, random: number): number {
  const exponent = Math.min(Math.max(attempt - 1, 0), LARGEST_EXPONENT)
  const wait = Math.min(restart.maxBackoffMs, restart.backoffMs * 2 ** exponent)
  return Math.round(wait * (1 - restart.jitter * random))
}

export interface Ended {
  readonly kind: 'service' | 'task'
  readonly restart: ResolvedRestart
  /** Restarts in a row before this end. */
  readonly attempt: number
  /** Restarts within the policy's window before this end; without a window it is not looked at. */
  readonly recentRestarts: number
  readonly uptimeMs: number
  readonly random: number
}

/** What becomes of a process whose child ended by itself. A task that succeeded is complete under every policy. */
export function verdictAfterExit(ended: Ended, exit: ExitResult): Verdict {
  const success = exit.code === 0
  const { policy } = ended.restart
  if (success && (ended.kind === 'task' || policy !== 'always')) return { type: 'completed' }
  if (!success && policy === 'never') return { type: 'failed', reason: describeExit(exit) }
  return retry(ended, describeExit(exit))
}

/**
 * What becomes of a process that could not be spawned again after it had run, or that failed its liveness probe: a failed
 * attempt like any other.
 */
export function verdictAfterFailure(ended: Ended, message: string): Verdict {
  return ended.restart.policy === 'never' ? { type: 'failed', reason: message } : retry(ended, message)
}

/** `exited with code 3`, `was ended by SIGKILL`. */
export function describeExit(exit: ExitResult): string {
  return exit.signal === null ? `exited with code ${exit.code}` : `was ended by ${exit.signal}`
}

function retry({ restart, attempt: before, recentRestarts, uptimeMs, random }: Ended, what: string): Verdict {
  const attempt = (uptimeMs >= restart.resetAfterMs ? 0 : before) + 1
  const counted = restart.windowMs === null ? attempt : recentRestarts + 1
  if (counted > restart.maxAttempts) return { type: 'failed', reason: withLimit(what, restart) }
  return { type: 'backoff', attempt, waitMs: backoffDelay(attempt, restart, random) }
}

function withLimit(what: string, { maxAttempts, windowMs }: ResolvedRestart): string {
  if (maxAttempts === 0) return what
  const times = maxAttempts === 1 ? '1 restart' : `${maxAttempts} restarts`
  return windowMs === null ? `${what}, after ${times}` : `${what}, after ${times} within ${windowMs} ms`
}

/** When a process was restarted, as far back as its policy looks. Times are on any one clock, in milliseconds. */
export class RestartHistory {
  readonly #definition: Pick<ResolvedProcess, 'kind' | 'restart'>
  #times: number[] = []

  constructor(definition: Pick<ResolvedProcess, 'kind' | 'restart'>) {
    this.#definition = definition
  }

  /** Restarts within the window that ends now. */
  recent(now: number): number {
    const { windowMs } = this.#definition.restart
    if (windowMs === null) return 0
    this.#times = this.#times.filter((time) => now - time < windowMs)
    return this.#times.length
  }

  /** The end of a child that was up this long, as of now. */
  ended(state: ProcessState, uptimeMs: number): Ended {
    const { kind, restart } = this.#definition
    const attempt = 'attempt' in state ? state.attempt : 0
    const recentRestarts = this.recent(performance.now())
    return { kind, restart, attempt, recentRestarts, uptimeMs, random: Math.random() }
  }

  add(now: number): void {
    if (this.#definition.restart.windowMs !== null) this.#times.push(now)
  }
}
