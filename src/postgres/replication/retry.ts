import type { ReplicationError } from '../../domain/errors.ts'

/** Returns an exponential backoff from `maxMs` / 20 up to `maxMs`, up to a quarter less at random, to spread instances. */
export function retryDelayMs(attempt: number, maxMs: number, random: () => number): number {
  const delay = Math.min(maxMs, (maxMs / 20) * 2 ** (attempt - 1))
  return Math.round(delay * (0.75 + random() / 4))
}

export interface FailureHistory {
  /** The number of consecutive failures without progress, including this one. */
  readonly failures: number
  readonly maxAttempts: number
  readonly maxDelayMs: number
  /** The failure before this one; undefined if there was progress in between. */
  readonly previous: ReplicationError | undefined
}

export interface FailureReport {
  readonly level: 'warn' | 'error'
  readonly message: string
}

/**
 * Decides how to log a failure. One that needs an operator is an error, logged once. Others are warnings, until there are more than
 * `maxAttempts`: then one error, and nothing until the next success.
 */
export function reportOf(
  { message, retryable }: ReplicationError,
  { failures, maxAttempts, maxDelayMs, previous }: FailureHistory,
): FailureReport | null {
  if (!retryable)
    return previous?.message === message
      ? null
      : { level: 'error', message: `${message}; waiting until this is resolved` }
  if (failures <= maxAttempts) return { level: 'warn', message }
  if (failures > maxAttempts + 1) return null
  const advice = `failed ${failures} times in a row; trying again every ${maxDelayMs / 1000} s without further messages`
  return { level: 'error', message: `${message}; ${advice}` }
}
