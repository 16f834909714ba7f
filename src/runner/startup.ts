import { setTimeout as sleep } from 'node:timers/promises'
import { StartupError, messageOf } from '../domain/errors.ts'
import { maskUrlSecrets } from '../domain/secrets.ts'
import type { Logger } from './logger.ts'

/** Identifies a client to its server, and bounds its attempts to connect. */
export interface ClientIdentity {
  /** Shown in the server's monitoring: `ponix-analytics`. */
  readonly name: string
  readonly logger: Logger
  /** Aborts the attempts to connect. */
  readonly signal?: AbortSignal
}

export interface StartupTarget {
  /** The name in messages: `PostgreSQL`. */
  readonly server: string
  /** Host and port: `localhost:5432/ponix`. */
  readonly address: string
  readonly timeoutMs: number
  readonly logger: Logger
  readonly signal?: AbortSignal | undefined
}

const FIRST_DELAY_MS = 100
const LAST_DELAY_MS = 2000

class AttemptTimeout extends Error {}

/**
 * Calls `connect` with exponential backoff (100 ms to 2 s) until it resolves. After the timeout, which also aborts a hanging
 * attempt, throws a StartupError with one line for the operator: the server, its address, the timeout and the last reason.
 * A StartupError thrown by `connect` is not retried but rethrown immediately.
 */
export async function connectWithBackoff<T>(
  target: StartupTarget,
  connect: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { server, logger, signal, timeoutMs } = target
  const deadline = performance.now() + timeoutMs
  const address = maskUrlSecrets(target.address)
  let reason: unknown = new Error('no answer')
  for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(delayMs * 2, LAST_DELAY_MS)) {
    signal?.throwIfAborted()
    try {
      return await attempt(Math.max(1, deadline - performance.now()), signal, connect)
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof StartupError) throw error
      if (!(error instanceof AttemptTimeout)) reason = error
    }
    const leftMs = deadline - performance.now()
    if (leftMs <= 0) break
    if (delayMs === FIRST_DELAY_MS) logger.info({ address }, `waiting for ${server}: ${messageOf(reason)}`)
    await sleep(Math.min(delayMs, leftMs), undefined, signal === undefined ? {} : { signal })
  }
  throw new StartupError(
    `${server} at ${address} did not answer for ${timeoutMs / 1000} s: ${messageOf(reason)} (check that it is running; PONIX_STARTUP_TIMEOUT_SECS sets the timeout)`,
    { cause: reason },
  )
}

async function attempt<T>(
  timeoutMs: number,
  outer: AbortSignal | undefined,
  connect: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timeout = new AbortController()
  // Unlike AbortSignal.timeout, this timer keeps the process alive.
  const timer = setTimeout(() => timeout.abort(new AttemptTimeout()), timeoutMs)
  const signal = outer === undefined ? timeout.signal : AbortSignal.any([outer, timeout.signal])
  try {
    return await withSignal(signal, connect(signal))
  } finally {
    clearTimeout(timer)
  }
}

/** Resolves like `work`, or rejects with the signal's reason if the signal aborts first. */
export async function withSignal<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  let onAbort = (): void => {}
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([aborted, work])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
