import type { StopReason } from '../supervisor/events.ts'

/** What signals act upon. */
export interface Stoppable {
  stop(reason: StopReason): void
  kill(): void
  reload(): void
}

export interface SignalOptions {
  /** A person sits at a terminal: SIGHUP means that it was closed. */
  readonly terminal: boolean
  /** npm or npx is in our process group, and passes on the signals that it gets. */
  readonly underNpm: boolean
  /** Milliseconds, from any origin; for tests. */
  readonly now: () => number
}

const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const
type StopSignal = keyof typeof numbers

export interface SignalHandling {
  /** Resolves when a second signal has killed everything. */
  readonly forced: Promise<void>
  /** 128 and the number of that second signal, as shells have it; null without one. */
  forcedExitCode(): number | null
  /** Gives the signals back. */
  dispose(): void
}

/**
 * npm passes on the SIGINT or SIGTERM that the terminal, or whoever stops a whole group, has sent to us already: one press
 * arrives twice. The second time is npm's, however late a busy machine makes it; after so many milliseconds it is not.
 */
const echoMs = 5000

/**
 * Gives SIGINT, SIGTERM and SIGHUP their meaning (O-37): the first SIGINT or SIGTERM stops in
 * order, a second kills at once; SIGHUP reloads, but from a terminal, where it means that the terminal was closed.
 */
export function handleSignals(target: Stoppable, options: SignalOptions): SignalHandling {
  let first: { readonly signal: StopSignal; readonly at: number } | null = null
  let echoed = !options.underNpm
  let exitCode: number | null = null
  let resolveForced: () => void = () => undefined
  const forced = new Promise<void>((resolve) => (resolveForced = resolve))

  const onSignal = (signal: StopSignal): void => {
    if (signal === 'SIGHUP' && !options.terminal) {
      target.reload()
      return
    }
    if (first === null) {
      first = { signal, at: options.now() }
      target.stop({ type: 'signal', signal })
    } else if (!echoed && signal === first.signal && options.now() - first.at < echoMs) {
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
    forced,
    forcedExitCode: () => exitCode,
    dispose: () => {
      for (const signal of signals) process.off(signal, onSignal)
    },
  }
}
