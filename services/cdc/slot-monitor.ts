import { setTimeout as sleep } from 'node:timers/promises'
import type { ChangeCapture } from '../../src/postgres/replication/change-capture.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { slotMetrics } from './cdc-metrics.ts'

const INTERVAL_MS = 15_000
/** Until the slot is there. */
const FIRST_INTERVAL_MS = 500

/** Looks after the slot from time to time: its metrics, and a warning when it keeps more WAL than `warnBytes` (C-13). */
export async function monitorSlot(
  capture: Pick<ChangeCapture, 'slotState'>,
  { warnBytes, logger, intervalMs = INTERVAL_MS }: { warnBytes: number; logger: Logger; intervalMs?: number },
  signal: AbortSignal,
): Promise<void> {
  let warned = false
  while (!signal.aborted) {
    const slot = await capture.slotState().catch(() => null)
    if (slot !== null) {
      slotMetrics.lagBytes.set(slot.lagBytes)
      slotMetrics.retainedBytes.set(slot.retainedBytes)
      const excess = slot.retainedBytes > warnBytes
      if (excess && !warned) {
        const { retainedBytes, lagBytes } = slot
        logger.warn(
          { retained_bytes: retainedBytes, lag_bytes: lagBytes },
          `the replication slot keeps ${megabytes(retainedBytes)} MB of WAL on PostgreSQL's disk, more than ` +
            `${megabytes(warnBytes)} MB (PONIX_CDC_RETAINED_WAL_WARN_MB); see whether JetStream stores and a transaction is open`,
        )
      }
      warned = excess || (warned && slot.retainedBytes > warnBytes * 0.8)
    }
    await sleep(slot === null ? Math.min(FIRST_INTERVAL_MS, intervalMs) : intervalMs, undefined, { signal }).catch(
      () => undefined,
    )
  }
}

function megabytes(bytes: number): number {
  return Math.round(bytes / (1024 * 1024))
}
