import type { ResolvedRestart } from './config/resolved.ts'
import type { ExitResult } from './events.ts'
import type { Verdict } from './state.ts'

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

/** What becomes of a process that could not be spawned again after it had run: a failed attempt like any other. */
export function verdictAfterSpawnFailure(ended: Ended, message: string): Verdict {
  return ended.restart.policy === 'never' ? { type: 'failed', reason: message } : retry(ended, message)
}

/** `exited with code 3`, `was ended by SIGKILL`. */
export function describeExit(exit: ExitResult): string {
  return exit.signal === null ? `exited with code ${exit.code}` : `was ended by ${exit.signal}`
}

function retry({ restart, attempt: before, uptimeMs, random }: Ended, what: string): Verdict {
  const attempt = (uptimeMs >= restart.resetAfterMs ? 0 : before) + 1
  if (attempt > restart.maxAttempts) {
    const times = restart.maxAttempts === 1 ? '1 restart' : `${restart.maxAttempts} restarts`
    return { type: 'failed', reason: restart.maxAttempts === 0 ? what : `${what}, after ${times}` }
  }
  return { type: 'backoff', attempt, waitMs: backoffDelay(attempt, restart, random) }
}
