import type { KillTrigger, StopReason } from '../../supervisor/events.ts'

export interface SignalTarget {
  stop(reason: StopReason): void
  kill(trigger: KillTrigger): void
  reload(): void
}

export interface SignalOptions {
  /** True at a terminal: SIGHUP then means that the terminal was closed. */
  readonly terminal: boolean
  /** The number of programs in our process group, such as npm, that each pass a signal on after the whole group has received it. */
  readonly forwarders: number
  /** Resolves with whether the whole process group has received the signal. Called only if there are forwarders. */
  readonly groupReceived: (signal: NodeJS.Signals) => Promise<boolean>
}

const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const
type StopSignal = keyof typeof numbers

/**
 * Handles signals: the first SIGINT or SIGTERM stops in order, the second kills immediately. SIGHUP reloads; at a terminal it
 * stops, because it means that the terminal was closed. A signal that a forwarder passes on after the whole group has received
 * it is an echo of that signal, not a second one.
 */
export function handleSignals(target: SignalTarget, options: SignalOptions) {
  let isStopping = false
  let echoes: { readonly signal: StopSignal; readonly expected: number } | null = null
  let classified = Promise.resolve()
  let exitCode: number | null = null
  let resolveForced: () => void = () => undefined
  const forced = new Promise<void>((resolve) => (resolveForced = resolve))

  const force = (signal: StopSignal, trigger: KillTrigger = signal): void => {
    exitCode ??= 128 + numbers[signal]
    target.kill(trigger)
    resolveForced()
  }
  const classifyFirst = async (signal: StopSignal): Promise<void> => {
    echoes = { signal, expected: (await options.groupReceived(signal)) ? options.forwarders : 0 }
  }
  const classifyFurther = async (signal: StopSignal): Promise<void> => {
    const isPossibleEcho = echoes !== null && echoes.signal === signal && echoes.expected > 0
    if (!isPossibleEcho || (await options.groupReceived(signal))) return force(signal)
    if (echoes !== null) echoes = { signal, expected: echoes.expected - 1 }
  }

  const onSignal = (signal: StopSignal): void => {
    if (signal === 'SIGHUP' && !options.terminal) return target.reload()
    const isFirst = !isStopping
    if (isFirst) {
      isStopping = true
      target.stop({ type: 'signal', signal })
    }
    if (options.forwarders > 0) {
      classified = classified.then(() => (isFirst ? classifyFirst(signal) : classifyFurther(signal)))
    } else if (!isFirst) {
      force(signal)
    }
  }

  const quit = (): void => {
    if (isStopping) return force('SIGINT', 'q')
    isStopping = true
    target.stop({ type: 'key', key: 'q' })
  }

  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, onSignal)
  return {
    /** Resolves when a second signal has killed everything. */
    forced,
    /** Returns 128 plus the number of the second signal, as in shells; null without a second signal. */
    forcedExitCode: () => exitCode,
    /** Stops as SIGINT does, because the key `q` was pressed. */
    quit,
    /** Resolves when every signal received so far is classified. */
    settled: () => classified,
    /** Removes the handlers. */
    dispose: () => {
      for (const signal of signals) process.off(signal, onSignal)
    },
  }
}
