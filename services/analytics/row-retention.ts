import { setTimeout as sleep } from 'node:timers/promises'
import type { ExpiredRows } from '../../src/clickhouse/expired-rows.ts'
import { messageOf } from '../../src/domain/errors.ts'
import type { Instant } from '../../src/domain/instant.ts'
import type { RetentionReader } from '../../src/domain/ports.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { analyticsMetrics } from './metrics.ts'

export interface RowRetentionParts {
  readonly organizations: RetentionReader
  readonly expiredRows: Pick<ExpiredRows, 'delete'>
  readonly now: () => Instant
  readonly logger: Logger
}

export interface RetentionIntervals {
  readonly afterSuccessMs: number
  readonly afterFailureMs: number
}

const INTERVALS: RetentionIntervals = { afterSuccessMs: 3_600_000, afterFailureMs: 300_000 }
const DAY_MICROS = 86_400_000_000n

/**
 * Deletes rows that are older than the retention of their organization, at the start and every hour, until the signal aborts. Several
 * instances may run: a row that is already deleted is not found again.
 */
export async function enforceRetention(
  parts: RowRetentionParts,
  signal: AbortSignal,
  intervals: RetentionIntervals = INTERVALS,
): Promise<void> {
  const { logger } = parts
  while (!signal.aborted) {
    let waitMs = intervals.afterSuccessMs
    try {
      await deleteExpiredRows(parts, signal)
    } catch (error) {
      if (signal.aborted) return
      waitMs = intervals.afterFailureMs
      analyticsMetrics.retentionFailures.inc()
      logger.warn(`cannot delete expired rows; trying again in ${waitMs / 1000} s: ${messageOf(error)}`)
    }
    await sleep(waitMs, undefined, { signal }).catch(() => {})
  }
}

/** Deletes the rows that have expired now; when it resolves, no reader finds them. */
export async function deleteExpiredRows(
  { organizations, expiredRows, now, logger }: RowRetentionParts,
  signal: AbortSignal,
): Promise<void> {
  let deleted = 0
  try {
    for await (const { days, organizationIds } of organizations.retentions({ signal })) {
      const before = expiryTime(now(), days)
      for await (const rows of expiredRows.delete({ organizationIds, before }, signal)) {
        deleted += rows
        analyticsMetrics.expiredRows.inc(rows)
      }
    }
  } finally {
    if (deleted > 0)
      logger.info({ rows: deleted }, `deleted ${deleted} rows older than the retention of their organization`)
  }
}

/**
 * Returns the time before which rows have expired. It is the start of a day in UTC, so that the files of an organization are rewritten once
 * a day and not every hour.
 */
export function expiryTime(now: Instant, days: number): Instant {
  return now - (now % DAY_MICROS) - BigInt(days) * DAY_MICROS
}
