import { setTimeout as sleep } from 'node:timers/promises'
import { Counter, Gauge, register } from 'prom-client'
import type { ChangeCapture } from '../../src/postgres/replication/change-capture.ts'
import type { Logger } from '../../src/runner/logger.ts'
import type { Action } from './entity.ts'

/** What the metrics are read from when somebody asks for them. */
export interface MetricsSource {
  readonly published: Iterable<{ readonly entity: string; readonly action: Action; readonly count: number }>
  readonly inFlight: number
  readonly lagSeconds: number
  readonly retries: number
  readonly streaming: boolean
  readonly heartbeatAgeSeconds: number
}

/** What the slot monitor has seen last. */
const slotMetrics = {
  lagBytes: new Gauge({
    name: 'ponix_cdc_lag_bytes',
    help: "From the slot's confirmed position to the end of PostgreSQL's log, when it was read last.",
  }),
  retainedBytes: new Gauge({
    name: 'ponix_cdc_retained_wal_bytes',
    help: 'WAL that PostgreSQL keeps on disk for the slot, when it was read last.',
  }),
}

export const deadLetterMetric = new Counter({
  name: 'ponix_cdc_dead_letters_total',
  help: 'Changes that could not become events and went to the dead letters.',
  labelNames: ['entity', 'operation'],
})

/** Registers the metrics that cost nothing until they are read. */
export function observeCdc(source: MetricsSource): void {
  observeEvents(source)
  observe(
    'ponix_cdc_in_flight',
    'Changes read from the slot and not acknowledged by JetStream yet.',
    () => source.inFlight,
  )
  observe(
    'ponix_cdc_lag_seconds',
    'Age of the oldest transaction that is not stored completely; 0 when there is none.',
    () => source.lagSeconds,
  )
  observe('ponix_cdc_retries_total', 'Times the stream had to be started again.', () => source.retries)
  observe(
    'ponix_cdc_heartbeat_age_seconds',
    'Since a sign of life came through the log last; one is sent only while nothing else does. 0 before the first.',
    () => source.heartbeatAgeSeconds,
  )
  observe('ponix_cdc_streaming', '1 while this instance streams from the slot, else 0.', () => Number(source.streaming))
}

function observeEvents(source: MetricsSource): void {
  const events = new Counter({
    name: 'ponix_cdc_events_total',
    help: 'Events that JetStream has acknowledged.',
    labelNames: ['entity', 'operation'],
    registers: [],
    collect() {
      this.reset()
      for (const { entity, action, count } of source.published) this.inc({ entity, operation: action }, count)
    },
  })
  register.registerMetric(events)
}

function observe(name: string, help: string, read: () => number): void {
  const gauge = new Gauge({
    name,
    help,
    registers: [],
    collect() {
      this.set(read())
    },
  })
  register.registerMetric(gauge)
}

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
