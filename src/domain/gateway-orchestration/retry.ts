/** When a gateway that fails is retried. A config error is never retried. */
export interface RetryPolicy {
  /** The delay before the first retry. */
  readonly delayMs: number
  /** The number of consecutive retries after which the gateway is reported as failing. */
  readonly maxAttempts: number
  /** Whether it is then not retried any more; otherwise it is retried without end. */
  readonly stopsWhenFailing: boolean
}

const LONGEST_DELAY_MS = 60_000

/** Returns whether the number of consecutive failures is more than the attempts that the policy allows. */
export function isFailing(failures: number, { maxAttempts }: RetryPolicy): boolean {
  return failures > maxAttempts
}

/**
 * Returns the delay after this number of consecutive failures: at first `firstMs`, then doubled up to a minute with "equal jitter"
 * (half of it is random, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015), so that the gateways of a broker that was
 * away do not return at the same time. `random` is a number from 0 to 1.
 */
export function retryDelayMs(failures: number, firstMs: number, random: number): number {
  if (failures <= 1) return firstMs
  const longest = Math.min(firstMs * 2 ** (failures - 1), Math.max(firstMs, LONGEST_DELAY_MS))
  return Math.round((longest * (1 + random)) / 2)
}
