import { once } from 'node:events'
import { StartupError, messageOf } from '../domain/errors.ts'
import type { Logger } from './logger.ts'

/** The parts of the Node process that a lifecycle uses; tests pass their own. */
export interface LifecycleHost {
  /** Calls the listener on every SIGINT and SIGTERM. */
  onSignal(listener: (signal: NodeJS.Signals) => void): void
  /** Calls the listener on every uncaught error. */
  onUncaught(listener: (error: unknown) => void): void
  /** Ends the program immediately, by the default action of the signal. */
  die(signal: NodeJS.Signals): void
}

export interface LifecycleOptions {
  readonly logger: Logger
  /** Runs before the processes. If it fails, only the closers run. */
  readonly prepare?: (stopping: AbortSignal) => Promise<void>
  readonly processes: Readonly<Record<string, AppProcess>>
  readonly closers: Readonly<Record<string, Closer>>
  /** The time limit of each closer, and of all processes together after the stop. */
  readonly closerTimeoutMs: number
}

/**
 * Runs all processes concurrently. The first signal, or a process that fails or ends early, stops them all; then the closers
 * run in reverse order. Resolves to the exit code in bounded time after the stop, even if a part hangs.
 */
export async function runLifecycle(options: LifecycleOptions, host: LifecycleHost): Promise<number> {
  const { logger } = options
  const stop = new AbortController()
  let exitCode = 0
  let signals = 0
  const fail = (message: string, error: unknown): void => {
    logFailure(logger, message, error)
    if (!stop.signal.aborted) exitCode = 1
    stop.abort()
  }
  host.onUncaught((error) => fail('uncaught error', error))
  host.onSignal((signal) => {
    if (++signals > 1) return host.die(signal)
    logger.info({ signal }, `stopping on ${signal}; a second signal ends the program immediately`)
    stop.abort()
  })
  try {
    await options.prepare?.(stop.signal)
  } catch (error) {
    fail('cannot start', error)
  }
  if (!stop.signal.aborted) await runProcesses(options, stop.signal, fail)
  await runClosers(options)
  return exitCode
}

/** Resolves when all processes have ended, at the latest when the timeout after the stop has passed. */
async function runProcesses(
  { processes, logger, closerTimeoutMs }: LifecycleOptions,
  stopping: AbortSignal,
  fail: (message: string, error: unknown) => void,
): Promise<void> {
  const alive = new Set(Object.keys(processes))
  const runs = Object.entries(processes).map(async ([name, run]) => {
    try {
      // An earlier process may have failed synchronously.
      if (!stopping.aborted) await run(stopping)
      if (!stopping.aborted) fail(`${name} ended`, new Error('a process must run until the service stops'))
    } catch (error) {
      if (!stopping.aborted || !isAbort(error, stopping)) fail(`${name} failed`, error)
    } finally {
      alive.delete(name)
    }
  })
  if (!stopping.aborted) await once(stopping, 'abort')
  const inTime = await within(closerTimeoutMs, Promise.all(runs))
  if (!inTime) {
    logger.warn(`${[...alive].join(', ')} did not end within ${closerTimeoutMs / 1000} s; continuing without`)
  }
}

async function runClosers({ closers, logger, closerTimeoutMs }: LifecycleOptions): Promise<void> {
  for (const [name, close] of Object.entries(closers).toReversed()) {
    try {
      const inTime = await within(closerTimeoutMs, (async () => close())())
      if (!inTime) logger.warn(`closing ${name} took longer than ${closerTimeoutMs / 1000} s; continuing without`)
    } catch (error) {
      logFailure(logger, `closing ${name} failed`, error)
    }
  }
}

/** Returns whether `work` resolved in time; rejects if `work` rejects. A later outcome is ignored. */
async function within(timeoutMs: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs)
  })
  try {
    return await Promise.race([work.then(() => true), timeout])
  } finally {
    clearTimeout(timer)
    work.catch(() => {})
  }
}

/** Returns whether the error is the reason of the signal, with which an aborted process rejects. */
function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === 'AbortError')
}

function logFailure(logger: Logger, message: string, error: unknown): void {
  const line = `${message}: ${messageOf(error)}`
  if (error instanceof StartupError) logger.error(line)
  else logger.error({ err: error }, line)
}

/** Runs until the signal aborts. Ending earlier, or rejecting, stops the whole service. */
export type AppProcess = (signal: AbortSignal) => Promise<void>

/** Releases a resource of the service within the closer timeout. */
export type Closer = () => Promise<void>
