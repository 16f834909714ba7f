import { StartupError, messageOf } from '../domain/errors.ts'
import type { Logger } from './logger.ts'

/** What the lifecycle needs of the operating system: Node's process in a service, a script in a test. */
export interface LifecycleHost {
  /** Reports every SIGINT and SIGTERM from now on. */
  onSignal(listener: (signal: NodeJS.Signals) => void): void
  /** Reports errors that nobody caught from now on. */
  onUncaught(listener: (error: unknown) => void): void
  /** Ends the program at once, as the signal by itself would have ended it. */
  die(signal: NodeJS.Signals): void
}

export interface LifecycleOptions {
  readonly logger: Logger
  /** Runs before the processes; if it fails they are not started, and the closers run. */
  readonly prepare?: (stopping: AbortSignal) => Promise<void>
  readonly processes: Readonly<Record<string, AppProcess>>
  readonly closers: Readonly<Record<string, Closer>>
  /** For each closer, and for the processes together once they are told to stop. */
  readonly closerTimeoutMs: number
}

/**
 * The life of a service: all processes at once; on the first signal, or when a process fails or ends by itself, all are told
 * to stop; then the closers in reverse order. Resolves with the exit code, in bounded time once it stops, whatever hangs
 * (R-1 to R-4).
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
    logger.info({ signal }, `stopping on ${signal}; a second signal ends at once`)
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

/** Resolves when all processes have ended, or when they had their time after the stop. */
async function runProcesses(
  { processes, logger, closerTimeoutMs }: LifecycleOptions,
  stopping: AbortSignal,
  fail: (message: string, error: unknown) => void,
): Promise<void> {
  const alive = new Set(Object.keys(processes))
  const runs = Object.entries(processes).map(async ([name, run]) => {
    try {
      // The one before it may have failed at once.
      if (!stopping.aborted) await run(stopping)
      if (!stopping.aborted) fail(`${name} ended`, new Error('it ends only when it is told to stop'))
    } catch (error) {
      if (!stopping.aborted || !isAbort(error, stopping)) fail(`${name} failed`, error)
    } finally {
      alive.delete(name)
    }
  })
  await aborted(stopping)
  const inTime = await within(closerTimeoutMs, Promise.all(runs))
  if (!inTime) {
    logger.warn(`${[...alive].join(', ')} did not end within ${closerTimeoutMs / 1000} s; going on without`)
  }
}

async function runClosers({ closers, logger, closerTimeoutMs }: LifecycleOptions): Promise<void> {
  for (const [name, close] of Object.entries(closers).toReversed()) {
    try {
      const inTime = await within(closerTimeoutMs, (async () => close())())
      if (!inTime) logger.warn(`closing ${name} took longer than ${closerTimeoutMs / 1000} s; going on without`)
    } catch (error) {
      logFailure(logger, `closing ${name} failed`, error)
    }
  }
}

/** Whether `work` settled in time; rejects as it does. What comes after the time is over is ignored. */
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

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** A process may leave by throwing the signal's reason: that is how aborted calls end. */
function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === 'AbortError')
}

function logFailure(logger: Logger, message: string, error: unknown): void {
  const line = `${message}: ${messageOf(error)}`
  if (error instanceof StartupError) logger.error(line)
  else logger.error({ err: error }, line)
}

/** Something that runs until it is told to stop. Ending before that, or rejecting, takes the whole service down. */
export type AppProcess = (signal: AbortSignal) => Promise<void>

/** Releases something the service opened; bounded by the closer timeout. */
export type Closer = () => Promise<void>
