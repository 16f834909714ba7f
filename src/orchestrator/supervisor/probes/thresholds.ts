import type { ResolvedProbe } from '../../config/resolved.ts'

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
