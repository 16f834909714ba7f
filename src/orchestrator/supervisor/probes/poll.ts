import { messageOf } from '../../config/errors.ts'
import type { ResolvedProbe } from '../../config/resolved.ts'
import { sleep } from '../timers.ts'

/** What the results of a probe so far amount to. */
export interface ProbeStanding {
  readonly ready: boolean
  /** It was ready at least once: from then on the longer period holds. */
  readonly everReady: boolean
  readonly successes: number
  readonly failures: number
}

export const NOT_PROBED: ProbeStanding = { ready: false, everReady: false, successes: 0, failures: 0 }
/** What is alive until it fails. */
export const TAKEN_FOR_ALIVE: ProbeStanding = { ready: true, everReady: true, successes: 0, failures: 0 }

/** The standing after one more result. Failures count only in a row, and so do successes. */
export function afterResult(
  standing: ProbeStanding,
  succeeded: boolean,
  thresholds: Pick<ResolvedProbe, 'successThreshold' | 'failureThreshold'>,
): ProbeStanding {
  const successes = succeeded ? standing.successes + 1 : 0
  const failures = succeeded ? 0 : standing.failures + 1
  const ready = standing.ready ? failures < thresholds.failureThreshold : successes >= thresholds.successThreshold
  return { ready, everReady: standing.everReady || ready, successes, failures }
}

/** One attempt of a probe: resolves or rejects with the reason, soon after `signal` is aborted at the latest. */
export type Check = (signal: AbortSignal) => Promise<void>

export interface ProbeListener {
  readonly onReady: () => void
  /** Only after it was ready. */
  readonly onUnhealthy: (reason: string) => void
}

export interface PollTools {
  readonly now: () => number
  readonly sleep: typeof sleep
  /** What it is taken for before the first probe. */
  readonly from: ProbeStanding
}

const REAL_TOOLS: PollTools = { now: () => performance.now(), sleep, from: NOT_PROBED }

/** Probes until `signal` is aborted, and reports each change from not ready to ready and back. Never rejects. */
export async function poll(
  probe: ResolvedProbe,
  check: Check,
  listener: ProbeListener,
  signal: AbortSignal,
  own: Partial<PollTools> = {},
): Promise<void> {
  const tools = { ...REAL_TOOLS, ...own }
  let standing = tools.from
  await tools.sleep(probe.initialDelayMs, signal)
  while (!signal.aborted) {
    const startedAt = tools.now()
    const failure = await attempt(check, probe.timeoutMs, signal, tools)
    if (signal.aborted) return
    const before = standing
    standing = afterResult(before, failure === null, probe)
    if (standing.ready && !before.ready) listener.onReady()
    if (!standing.ready && before.ready) listener.onUnhealthy(failure ?? 'not ready')
    const period = standing.everReady ? probe.periodMs.afterReady : probe.periodMs.beforeReady
    await tools.sleep(Math.max(0, period - (tools.now() - startedAt)), signal)
  }
}

async function attempt(check: Check, timeoutMs: number, signal: AbortSignal, tools: PollTools): Promise<string | null> {
  const over = new AbortController()
  const stop = () => over.abort()
  const finished = new AbortController()
  signal.addEventListener('abort', stop, { once: true })
  let timedOut = false
  const limit = async () => {
    await tools.sleep(timeoutMs, finished.signal)
    timedOut = !finished.signal.aborted
    if (timedOut) stop()
  }
  void limit()
  try {
    await check(over.signal)
    return null
  } catch (error) {
    const reason = messageOf(error)
    return timedOut ? `${reason} within ${timeoutMs} ms` : reason
  } finally {
    finished.abort()
    signal.removeEventListener('abort', stop)
  }
}
