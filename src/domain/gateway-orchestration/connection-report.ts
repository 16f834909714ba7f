import type { GatewayProcessStatus } from './gateway-process.ts'

/** A status that was reported, and when. */
export interface Reported {
  readonly status: GatewayProcessStatus
  readonly atMs: number
}

/** A start or a lost connection is reported if it takes longer, so that a restart does not change the status of all gateways. */
const TRANSITION_MS = 5_000
/** The interval in which counts and errors are reported, which can change with every message. */
const COUNTS_INTERVAL_MS = 60_000
/** The interval in which an unchanged status is reported again, which restores a report that was lost or overwritten. */
const REFRESH_INTERVAL_MS = 300_000

/** Returns whether to report the status of a gateway now. */
export function isReportDue(reported: Reported | null, status: GatewayProcessStatus, nowMs: number): boolean {
  const { state, sinceMs } = status
  if (state === 'stopped') return false
  if ((state === 'starting' || state === 'interrupted') && nowMs < sinceMs + TRANSITION_MS) return false
  if (reported === null || reported.status.state !== state || reported.status.sinceMs !== sinceMs) return true
  const interval = reported.status === status ? REFRESH_INTERVAL_MS : COUNTS_INTERVAL_MS
  return nowMs >= reported.atMs + interval
}
