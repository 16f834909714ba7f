import type { StopReason } from '../supervisor/events.ts'

export interface SignalTarget {
  stop(reason: StopReason): void
  kill(): void
  reload(): void
}

export interface SignalOptions {
  /** True at a terminal: SIGHUP then means that the terminal was closed. */
  readonly terminal: boolean
  /** True if npm or npx is in our process group and forwards the signals that it receives. */
  readonly underNpm: boolean
  /** Returns the time in milliseconds, from any origin. */
  readonly now: () => number
}

const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const
type StopSignal = keyof typeof numbers

/**
 * npm forwards a SIGINT or SIGTERM that the terminal has already sent to the whole process group, so one Ctrl-C arrives
 * twice. On a busy machine the second signal can be late; after this time it counts as separate.
 */
const ECHO_MS = 5000

/**
 * Handles signals: the first SIGINT or SIGTERM stops in order, the second kills immediately. SIGHUP reloads; at a terminal it
 * stops, because it means that the terminal was closed.
 */
export function handleSignals(target: SignalTarget, options: SignalOptions) {
  let first: { readonly signal: StopSignal; readonly at: number } | null = null
  let echoed = !options.underNpm
  let exitCode: number | null = null
  let resolveForced: () => void = () => undefined
  const forced = new Promise<void>((resolve) => (resolveForced = resolve))

  const onSignal = (signal: StopSignal): void => {
    if (signal === 'SIGHUP' && !options.terminal) {
      target.reload()
    } else if (first === null) {
      first = { signal, at: options.now() }
      target.stop({ type: 'signal', signal })
    } else if (!echoed && signal === first.signal && options.now() - first.at < ECHO_MS) {
      echoed = true
    } else {
      exitCode = 128 + numbers[signal]
      target.kill()
      resolveForced()
    }
  }

  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, onSignal)
  return {
    /** Resolves when a second signal has killed everything. */
    forced,
    /** Returns 128 plus the number of the second signal, as in shells; null without a second signal. */
    forcedExitCode: () => exitCode,
    /** Removes the handlers. */
    dispose: () => {
      for (const signal of signals) process.off(signal, onSignal)
    },
  }
}
