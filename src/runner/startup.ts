import { setTimeout as sleep } from 'node:timers/promises'
import { StartupError, messageOf } from '../domain/errors.ts'
import { maskUrlSecrets } from '../domain/secrets.ts'
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

const FIRST_DELAY_MS = 100
const LAST_DELAY_MS = 2000

/**
 * Tries `connect` with exponential backoff (100 ms to 2 s) until it resolves or the time is over; then throws a StartupError
 * whose message is the one line for the operator: which server, at which address, for how long, and the last reason.
 * An attempt that hangs is cut off when the time is over. A StartupError of `connect` itself is final and thrown at once.
 */
export async function connectWithBackoff<T>(
  target: StartupTarget,
  connect: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = performance.now() + target.timeoutMs
  const address = maskUrlSecrets(target.address)
  let delayMs = FIRST_DELAY_MS
  let reason: unknown = new Error('no answer')
  for (let attempt = 1; ; attempt++) {
    target.signal?.throwIfAborted()
    try {
      return await attemptUntil(deadline, target.signal, connect)
    } catch (error) {
      target.signal?.throwIfAborted()
      if (error instanceof StartupError) throw error
      if (!(error instanceof OutOfTime)) reason = error
    }
    const leftMs = deadline - performance.now()
    if (leftMs <= 0) throw unanswered(target, address, reason)
    if (attempt === 1) target.logger.info({ address }, `waiting for ${target.server}: ${messageOf(reason)}`)
    await sleep(Math.min(delayMs, leftMs), undefined, target.signal === undefined ? {} : { signal: target.signal })
    delayMs = Math.min(delayMs * 2, LAST_DELAY_MS)
  }
}

class OutOfTime extends Error {}

async function attemptUntil<T>(
  deadline: number,
  outer: AbortSignal | undefined,
  connect: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const cut = new AbortController()
  const stop = (reason: unknown): void => cut.abort(reason)
  const onOuter = (): void => stop(outer?.reason)
  outer?.addEventListener('abort', onOuter, { once: true })
  const timer = setTimeout(() => stop(new OutOfTime()), Math.max(1, deadline - performance.now()))
  try {
    return await Promise.race([connect(cut.signal), aborted(cut.signal)])
  } finally {
    clearTimeout(timer)
    outer?.removeEventListener('abort', onOuter)
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

function unanswered(target: StartupTarget, address: string, reason: unknown): StartupError {
  const seconds = target.timeoutMs / 1000
  return new StartupError(
    `${target.server} at ${address} did not answer for ${seconds} s: ${messageOf(reason)} (is it running? PONIX_STARTUP_TIMEOUT_SECS is how long a service waits)`,
    { cause: reason },
  )
}

/** Who opens a client, for those who look at the server, and how long it may go on trying. */
export interface ClientIdentity {
  /** Seen in the server's monitoring: `ponix-analytics`. */
  readonly name: string
  readonly logger: Logger
  /** Ends the waiting for a server that does not answer. */
  readonly signal?: AbortSignal
}
