import { setTimeout as sleep } from 'node:timers/promises'
import { Counter, Gauge, register } from 'prom-client'
import type { ChangeCapture } from '../../src/postgres/replication/change-capture.ts'
import type { Logger } from '../../src/runner/logger.ts'
import type { ChangePublisher } from './change-publisher.ts'

const lagBytes = new Gauge({
  name: 'ponix_cdc_lag_bytes',
  help: "WAL from the slot's confirmed position to the end of PostgreSQL's log, at the last poll.",
})

const retainedBytes = new Gauge({
  name: 'ponix_cdc_retained_wal_bytes',
  help: 'WAL that PostgreSQL retains on disk for the slot, at the last poll.',
})

export const deadLetterMetric = new Counter({
  name: 'ponix_cdc_dead_letters_total',
  help: 'Changes that could not become events and were stored as dead letters. Labels: entity, operation.',
  labelNames: ['entity', 'operation'],
})

export function registerMetrics(capture: ChangeCapture, publisher: ChangePublisher): void {
  const events = new Counter({
    name: 'ponix_cdc_events_total',
    help: 'Events that JetStream has acknowledged. Labels: entity, operation.',
    labelNames: ['entity', 'operation'],
    registers: [],
    collect() {
      this.reset()
      for (const { entity, action, count } of publisher.counts()) this.inc({ entity, operation: action }, count)
    },
  })
  register.registerMetric(events)
  gauge(
    'ponix_cdc_in_flight',
    'Changes read from the slot and not acknowledged by JetStream yet.',
    () => capture.inFlight,
  )
  gauge(
    'ponix_cdc_lag_seconds',
    'Age of the oldest transaction that is not completely stored; 0 when there is none.',
    () => ageSeconds(capture.oldestCommitTime === undefined ? undefined : Number(capture.oldestCommitTime) / 1000),
  )
  gauge(
    'ponix_cdc_retries',
    'Attempts to start the stream again since the start of the service.',
    () => capture.retries,
  )
  gauge(
    'ponix_cdc_heartbeat_age_seconds',
    'Time since the last heartbeat; heartbeats are sent only while no change is captured. 0 before the first.',
    () => ageSeconds(capture.lastHeartbeatMs),
  )
  gauge('ponix_cdc_streaming', '1 while this instance streams from the slot, else 0.', () =>
    Number(capture.state === 'streaming'),
  )
}

function ageSeconds(sinceMs: number | undefined): number {
  return sinceMs === undefined ? 0 : (Date.now() - sinceMs) / 1000
}

function gauge(name: string, help: string, read: () => number): void {
  const metric = new Gauge({
    name,
    help,
    registers: [],
    collect() {
      this.set(read())
    },
  })
  register.registerMetric(metric)
}

const POLL_MS = 15_000
/** The poll interval until the slot exists. */
const FIRST_POLL_MS = 500

/** Polls the slot for its metrics, and warns when it retains more WAL than `warnBytes`. */
export async function monitorSlot(
  capture: Pick<ChangeCapture, 'slotState'>,
  warnBytes: number,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  let warned = false
  while (!signal.aborted) {
    const slot = await capture.slotState().catch(() => null)
    if (slot !== null) {
      lagBytes.set(slot.lagBytes)
      retainedBytes.set(slot.retainedBytes)
      const isOver = slot.retainedBytes > warnBytes
      if (isOver && !warned) {
        logger.warn(
          { retained_bytes: slot.retainedBytes, lag_bytes: slot.lagBytes },
          `the replication slot retains ${megabytes(slot.retainedBytes)} MB of WAL on PostgreSQL's disk, more than ` +
            `${megabytes(warnBytes)} MB (PONIX_CDC_RETAINED_WAL_WARN_MB); check for a full stream and for open transactions`,
        )
      }
      // Hysteresis: warn again only after the size has fallen below 80 % of the limit.
      warned = isOver || (warned && slot.retainedBytes > warnBytes * 0.8)
    }
    await sleep(slot === null ? FIRST_POLL_MS : POLL_MS, undefined, { signal }).catch(() => undefined)
  }
}

function megabytes(bytes: number): number {
  return Math.round(bytes / (1024 * 1024))
}
