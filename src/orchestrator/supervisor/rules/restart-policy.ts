import { constants } from 'node:os'
import type { ResolvedProcess, ResolvedRestart } from '../../config/resolved.ts'
import type { ExitResult } from '../events.ts'

/** The next state after a child exits by itself or cannot be spawned. */
export type RestartDecision =
  | { readonly type: 'completed' }
  | { readonly type: 'failed'; readonly reason: string }
  /** `reason`: of the end, such as `exited with code 3`. `isCounted`: false if it is no attempt of the policy. */
  | {
      readonly type: 'backoff'
      readonly attempt: number
      readonly waitMs: number
      readonly reason: string
      readonly isCounted?: false
    }

type Backoff = Extract<RestartDecision, { type: 'backoff' }>

/** The cause of a restart. */
export interface RestartCause {
  /** Such as `last exit: code 3` or `last restart: failed its liveness probe: …`. */
  readonly text: string
  /** On the clock of `performance.now()`. */
  readonly at: number
}

/** The restarts by the restart policy or the memory limit: not by a command, a reload, a change of a file or a schedule. */
export interface UnexpectedRestarts {
  readonly count: number
  /** The cause of the last restart that has begun; null if there was none. */
  readonly last: RestartCause | null
  /** The exit of the last child that ended; null if there was none. */
  readonly lastExit: ExitResult | null
}

/** A larger exponent exceeds every maximum anyway; 2^1024 would be Infinity, and 0 · Infinity is NaN. */
const LARGEST_EXPONENT = 52

/**
 * Returns the milliseconds before restart number `attempt` (1 is the first): min(max, backoff · 2^(attempt−1)), of which the
 * fraction `jitter` is random. `random` is from 0 up to 1. The result never exceeds the maximum.
 */
export function backoffDelay(attempt: number, restart: ResolvedRestart, random: number): number {
  const exponent = Math.min(Math.max(attempt - 1, 0), LARGEST_EXPONENT)
  const wait = Math.min(restart.maxBackoffMs, restart.backoffMs * 2 ** exponent)
  return Math.round(wait * (1 - restart.jitter * random))
}

type Policy = Pick<ResolvedProcess, 'kind' | 'restart' | 'successExitCodes'>

export interface Ended extends Policy {
  /** Consecutive restarts so far. */
  readonly attempt: number
  /** Restarts within the window of the policy; ignored if the policy has no window. */
  readonly recentRestarts: number
  /** Starts in a row so far; 0 if the process has been up. */
  readonly startsBeforeUp: number
  readonly uptimeMs: number
  readonly random: number
}

/** Decides after a child exited by itself. A task that succeeded is completed under every policy. */
export function decideAfterExit(ended: Ended, exit: ExitResult): RestartDecision {
  const success = isSuccess(ended, exit)
  const { policy } = ended.restart
  if (success && (ended.kind === 'task' || policy !== 'always')) return { type: 'completed' }
  if (!success && policy === 'never') return { type: 'failed', reason: describeExit(exit) }
  return retry(ended, describeExit(exit))
}

/** Decides after a respawn or the liveness probe failed, which counts as a failed attempt. */
export function decideAfterFailure(ended: Ended, message: string): Exclude<RestartDecision, { type: 'completed' }> {
  return ended.restart.policy === 'never' ? { type: 'failed', reason: message } : retry(ended, message)
}

/** The number of consecutive restarts after which a warning says that the process does not keep running. */
const LOOP_ATTEMPTS = 5

/** Returns whether the process is a task that has succeeded. */
export function hasSucceeded(policy: Pick<Policy, 'kind' | 'successExitCodes'>, exit: ExitResult): boolean {
  return policy.kind === 'task' && isSuccess(policy, exit)
}

/** Returns whether the exit is a success. */
export function isSuccess({ successExitCodes }: Pick<Policy, 'successExitCodes'>, exit: ExitResult): boolean {
  return successExitCodes.includes(shellCodeOf(exit))
}

/** Returns the exit code in a shell's form: the code of the process, or 128 plus the number of the signal. */
export function shellCodeOf(exit: ExitResult): number {
  return exit.signal === null ? exit.code : 128 + constants.signals[exit.signal]
}

/** Returns a text such as `exited with code 3` or `was ended by SIGKILL`. */
export function describeExit(exit: ExitResult): string {
  return exit.signal === null ? `exited with code ${exit.code}` : `was ended by ${exit.signal}`
}

function retry(ended: Ended, failure: string): Exclude<RestartDecision, { type: 'completed' }> {
  const { restart, attempt: before, recentRestarts, uptimeMs, random } = ended
  if (ended.startsBeforeUp >= restart.startupAttempts) return { type: 'failed', reason: neverReady(failure, ended) }
  const attempt = (uptimeMs >= restart.resetAfterMs ? 0 : before) + 1
  const counted = restart.windowMs === null ? attempt : recentRestarts + 1
  if (counted > restart.maxAttempts) return { type: 'failed', reason: withLimit(failure, restart) }
  return { type: 'backoff', attempt, waitMs: backoffDelay(attempt, restart, random), reason: failure }
}

function neverReady(failure: string, { startsBeforeUp }: Ended): string {
  return `${failure}; not ready after ${startsBeforeUp === 1 ? '1 start' : `${startsBeforeUp} starts`}`
}

function withLimit(failure: string, { maxAttempts, windowMs }: ResolvedRestart): string {
  if (maxAttempts === 0) return failure
  const times = maxAttempts === 1 ? '1 restart' : `${maxAttempts} restarts`
  return windowMs === null ? `${failure}, after ${times}` : `${failure}, after ${times} within ${windowMs} ms`
}

/** The starts of one process, and the times of its restarts within the window of its policy, in milliseconds of one clock. */
export class RestartHistory implements UnexpectedRestarts {
  readonly #policy: Policy
  #times: number[] = []
  #starts = 0
  #count = 0
  #last: RestartCause | null = null
  #hasBeenUp = false
  #lastExit: ExitResult | null = null

  constructor(policy: Policy) {
    this.#policy = policy
  }

  /** Returns the number of restarts within the window that ends now; 0 without a window. */
  recent(now: number): number {
    const { windowMs } = this.#policy.restart
    if (windowMs === null) return 0
    this.#times = this.#times.filter((time) => now - time < windowMs)
    return this.#times.length
  }

  /** Returns the input of a decision for a child that ends now. */
  ended(attempt: number, uptimeMs: number): Ended {
    const { kind, restart, successExitCodes } = this.#policy
    const recentRestarts = this.recent(performance.now())
    const { startsBeforeUp } = this
    const random = Math.random()
    return { kind, restart, successExitCodes, attempt, recentRestarts, startsBeforeUp, uptimeMs, random }
  }

  /** True if the process has been up. */
  get hasBeenUp(): boolean {
    return this.#hasBeenUp
  }

  /** The number of starts in a row; 0 if the process has been up. */
  get startsBeforeUp(): number {
    return this.#hasBeenUp ? 0 : this.#starts
  }

  /** The number of the last restart that is possible; Infinity without a limit. */
  get lastAttempt(): number {
    const { maxAttempts, startupAttempts } = this.#policy.restart
    return this.#hasBeenUp ? maxAttempts : Math.min(maxAttempts, startupAttempts - 1)
  }

  /** The cause of a permanent failure of a child that ends now. */
  get failureCause(): 'startup_attempts' | 'run' {
    return this.startsBeforeUp >= this.#policy.restart.startupAttempts ? 'startup_attempts' : 'run'
  }

  /** Call it before each start. `isFirst`: it follows no failure. */
  onStart(isFirst: boolean): void {
    this.#starts = isFirst ? 1 : this.#starts + 1
  }

  /** Call it when the process is up. */
  onUp(): void {
    this.#hasBeenUp = true
  }

  get count(): number {
    return this.#count
  }

  get last(): RestartCause | null {
    return this.#last
  }

  /** Returns whether this restart is the one of a series after which to warn: there is no limit that would end the series. */
  isLoop({ attempt, isCounted }: Backoff): boolean {
    return isCounted !== false && attempt === LOOP_ATTEMPTS && !Number.isFinite(this.lastAttempt)
  }

  /** The exit of the last child that ended; null if there was none. */
  get lastExit(): ExitResult | null {
    return this.#lastExit
  }

  /** Call it when a child has exited. */
  onExit(exit: ExitResult): void {
    this.#lastExit = exit
  }

  /** Call it when a restart is scheduled. */
  onBackoff({ reason, isCounted }: Backoff, now: number): void {
    const exit = this.#lastExit
    const isExit = exit !== null && reason === describeExit(exit)
    this.#last = {
      text: isExit ? `last exit: ${exit.signal ?? `code ${exit.code}`}` : `last restart: ${reason}`,
      at: now,
    }
    if (isCounted !== false && this.#policy.restart.windowMs !== null) this.#times.push(now)
  }

  /** Call it when the child of a restart has been spawned. */
  onRestarted(): void {
    this.#count++
  }
}
