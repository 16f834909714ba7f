import { messageOf } from '../../config/errors.ts'
import type { ResolvedProbe } from '../../config/resolved.ts'
import { sleep } from '../timers.ts'

/** The state of a polled probe: the result of all attempts so far. */
export interface ProbeState {
  readonly ready: boolean
  /** True from the first success on; the longer period then applies. */
  readonly everReady: boolean
  readonly successes: number
  readonly failures: number
}

export const NOT_PROBED: ProbeState = { ready: false, everReady: false, successes: 0, failures: 0 }
export const ASSUMED_ALIVE: ProbeState = { ready: true, everReady: true, successes: 0, failures: 0 }

/** Returns the state after another attempt. Only consecutive results count towards a threshold. */
export function afterResult(
  state: ProbeState,
  succeeded: boolean,
  thresholds: Pick<ResolvedProbe, 'successThreshold' | 'failureThreshold'>,
): ProbeState {
  const successes = succeeded ? state.successes + 1 : 0
  const failures = succeeded ? 0 : state.failures + 1
  const ready = state.ready ? failures < thresholds.failureThreshold : successes >= thresholds.successThreshold
  return { ready, everReady: state.everReady || ready, successes, failures }
}

/** One attempt of a probe. Resolves, or rejects with the reason; settles soon after `signal` is aborted. */
export type Check = (signal: AbortSignal) => Promise<void>

export interface ProbeListener {
  readonly onReady: () => void
  /** Called only after `onReady`. */
  readonly onUnhealthy: (reason: string) => void
}

const DEFAULTS = { now: () => performance.now(), sleep, from: NOT_PROBED }
type PollOptions = typeof DEFAULTS

/** Probes until `signal` is aborted, and reports every change between ready and not ready. Never rejects. */
export async function poll(
  probe: ResolvedProbe,
  check: Check,
  listener: ProbeListener,
  signal: AbortSignal,
  overrides: Partial<PollOptions> = {},
): Promise<void> {
  const options = { ...DEFAULTS, ...overrides }
  let state = options.from
  await options.sleep(probe.initialDelayMs, signal)
  while (!signal.aborted) {
    const startedAt = options.now()
    const failure = await attempt(check, probe.timeoutMs, signal, options)
    if (signal.aborted) return
    const before = state
    state = afterResult(before, failure === null, probe)
    if (state.ready && !before.ready) listener.onReady()
    if (!state.ready && before.ready) listener.onUnhealthy(failure ?? 'not ready')
    const period = state.everReady ? probe.periodMs.afterReady : probe.periodMs.beforeReady
    await options.sleep(Math.max(0, period - (options.now() - startedAt)), signal)
  }
}

/** Makes one attempt; resolves to null on success, otherwise to the reason of the failure. */
async function attempt(
  check: Check,
  timeoutMs: number,
  signal: AbortSignal,
  options: PollOptions,
): Promise<string | null> {
  const over = new AbortController()
  const stop = () => over.abort()
  const finished = new AbortController()
  signal.addEventListener('abort', stop, { once: true })
  let timedOut = false
  void options.sleep(timeoutMs, finished.signal).then(() => {
    timedOut = !finished.signal.aborted
    if (timedOut) stop()
  })
  try {
    await check(over.signal)
    return null
  } catch (error) {
    return timedOut ? `${messageOf(error)} within ${timeoutMs} ms` : messageOf(error)
  } finally {
    finished.abort()
    signal.removeEventListener('abort', stop)
  }
}
