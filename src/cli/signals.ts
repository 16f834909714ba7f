import type { StopReason } from '../supervisor/events.ts'

/** What signals act upon. */
export interface Stoppable {
  stop(reason: StopReason): void
  kill(): void
}

export interface SignalOptions {
  /** A person sits at a terminal: SIGHUP means that it was closed. */
  readonly terminal: boolean
  /** npm or npx stands between the terminal and us. */
  readonly underNpm: boolean
  readonly warn: (message: string) => void
  /** Milliseconds, from any origin; for tests. */
  readonly now: () => number
}

const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const
type StopSignal = keyof typeof numbers

/** npm passes on the Ctrl-C that the terminal has sent to the whole group already: one press arrives twice, this soon. */
const echoMs = 150

/**
 * Gives SIGINT, SIGTERM and SIGHUP their meaning (O-37): the first stops in order, a second kills at once. `forced` resolves
 * with the exit code of such a kill. `dispose` gives the signals back.
 */
export function handleSignals(
  target: Stoppable,
  options: SignalOptions,
): { readonly forced: Promise<number>; dispose(): void } {
  let first: { readonly signal: StopSignal; readonly at: number } | null = null
  let resolveForced: (exitCode: number) => void = () => undefined
  const forced = new Promise<number>((resolve) => (resolveForced = resolve))

  const onSignal = (signal: StopSignal): void => {
    if (signal === 'SIGHUP' && !options.terminal) {
      options.warn('SIGHUP changes nothing: the configuration is read once, at the start')
      return
    }
    if (first === null) {
      first = { signal, at: options.now() }
      target.stop({ type: 'signal', signal })
    } else if (!isEcho(signal, first)) {
      target.kill()
      resolveForced(128 + numbers[signal])
    }
  }
  const isEcho = (signal: StopSignal, first: { readonly signal: StopSignal; readonly at: number }): boolean =>
    options.terminal && options.underNpm && signal === 'SIGINT' && options.now() - first.at < echoMs

  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, onSignal)
  return {
    forced,
    dispose: () => {
      for (const signal of signals) process.off(signal, onSignal)
    },
  }
}
