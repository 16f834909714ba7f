import type { Logger } from './logger.ts'

export interface StartupTarget {
  /** As a person knows it: `PostgreSQL`. */
  readonly server: string
  /** Host and port, without a password: `localhost:5432/ponix`. */
  readonly address: string
  readonly timeoutMs: number
  readonly logger: Logger
  readonly signal?: AbortSignal | undefined
}

/**
 * Tries `connect` with exponential backoff (100 ms to 2 s) until it resolves or the time is over; then throws a StartupError
 * whose message is the one line for the operator: which server, at which address, for how long, and the last reason.
 */
export function connectWithBackoff<T>(
  _target: StartupTarget,
  _connect: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  throw new Error('to be built')
}
