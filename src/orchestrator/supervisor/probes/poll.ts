import { messageOf } from '../../config/errors.ts'
import type { ResolvedProbe } from '../../config/resolved.ts'
import { formatDuration } from '../duration.ts'
import { sleep } from '../timers.ts'

/** The state of a polled probe: the result of all attempts so far. */
export interface ProbeState {
  readonly ready: boolean
  /** True from the first success on; the longer period then applies. */
  readonly everReady: boolean
  /** Consecutive successes and failures up to now; one of them is 0. */
  readonly successes: number
  readonly failures: number
  /** The reason why the last attempt failed; null if it succeeded, or none has ended. */
  readonly answer: string | null
}

/** The state of one probe, which `poll` replaces after every attempt. */
export interface ProbeRecord {
  state: ProbeState
}

export const NOT_PROBED: ProbeState = { ready: false, everReady: false, successes: 0, failures: 0, answer: null }
export const ASSUMED_ALIVE: ProbeState = { ...NOT_PROBED, ready: true, everReady: true }

/** Returns the state after another attempt; `answer` is null if it succeeded. Only consecutive results count towards a threshold. */
export function afterResult(
  state: ProbeState,
  answer: string | null,
  thresholds: Pick<ResolvedProbe, 'successThreshold' | 'failureThreshold'>,
): ProbeState {
  const succeeded = answer === null
  const successes = succeeded ? state.successes + 1 : 0
  const failures = succeeded ? 0 : state.failures + 1
  const ready = state.ready ? failures < thresholds.failureThreshold : successes >= thresholds.successThreshold
  return { ready, everReady: state.everReady || ready, successes, failures, answer }
}

/** One attempt of a probe. Resolves, or rejects with the reason; settles soon after `signal` is aborted. */
export type Check = (signal: AbortSignal) => Promise<void>

export interface ProbeListener {
  readonly onReady: () => void
  /** Called only after `onReady`. */
  readonly onUnhealthy: (reason: string) => void
}

const DEFAULTS = { now: () => performance.now(), sleep }
type PollOptions = typeof DEFAULTS

/** Probes until `signal` is aborted, and reports every change between ready and not ready. Never rejects. */
export async function poll(
  probe: ResolvedProbe,
  check: Check,
  record: ProbeRecord,
  listener: ProbeListener,
  signal: AbortSignal,
  overrides: Partial<PollOptions> = {},
): Promise<void> {
  const options = { ...DEFAULTS, ...overrides }
  await options.sleep(probe.initialDelayMs, signal)
  while (!signal.aborted) {
    const startedAt = options.now()
    const failure = await attempt(check, probe.timeoutMs, signal, options)
    if (signal.aborted) return
    const before = record.state
    const state = afterResult(before, failure, probe)
    record.state = state
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
    return timedOut ? `${messageOf(error)} within ${formatDuration(timeoutMs)}` : messageOf(error)
  } finally {
    finished.abort()
    signal.removeEventListener('abort', stop)
  }
}
