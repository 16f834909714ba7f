import { Counter, Gauge, Histogram } from 'prom-client'
import type { EvaluationPool } from '../../src/codecs/pool/evaluation-pool.ts'

const DELAY_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2.5, 5, 10, 30, 60, 300, 3600]

/** Consumption, batch sizes and lag are metrics of the NATS layer. */
export const analyticsMetrics = {
  processed: new Counter({
    name: 'ponix_analytics_processed_total',
    help: 'Raw envelopes converted to processed envelopes and stored in JetStream.',
  }),
  withoutReadings: new Counter({
    name: 'ponix_analytics_without_readings_total',
    help: 'Raw envelopes for which the codec returned an empty list of readings, so that they have no row.',
  }),
  stored: new Counter({
    name: 'ponix_analytics_stored_total',
    help: 'Processed envelopes stored in ClickHouse.',
  }),
  failed: new Counter({
    name: 'ponix_analytics_failed_total',
    help: 'Envelopes that failed or wait. Labels: cause; outcome (retry, deferred, dead_letter).',
    labelNames: ['cause', 'outcome'],
  }),
  delaySeconds: new Histogram({
    name: 'ponix_analytics_delay_seconds',
    help: 'Time from the receipt of an envelope to a stage. Labels: stage (processed, stored).',
    labelNames: ['stage'],
    buckets: DELAY_BUCKETS,
  }),
  insertRows: new Histogram({
    name: 'ponix_analytics_insert_rows',
    help: 'Rows per ClickHouse insert.',
    buckets: [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000],
  }),
  insertSeconds: new Histogram({
    name: 'ponix_analytics_insert_seconds',
    help: 'Time until ClickHouse stored the rows, including retries.',
    buckets: DELAY_BUCKETS,
  }),
  insertRetries: new Counter({
    name: 'ponix_analytics_insert_retries_total',
    help: 'Inserts retried because ClickHouse was unavailable.',
  }),
  expiredRows: new Counter({
    name: 'ponix_analytics_expired_rows_total',
    help: 'Rows deleted because they were older than the retention of their organization; instances may count the same rows.',
  }),
  retentionFailures: new Counter({
    name: 'ponix_analytics_retention_failures_total',
    help: 'Attempts to delete expired rows that failed and are made again after 5 minutes.',
  }),
  changesKnown: new Gauge({
    name: 'ponix_analytics_device_changes_known',
    help: '1 while CDC events are available, 0 while the device cache relies on its TTL of 0.9 s.',
  }),
  workersLost: new Counter({
    name: 'ponix_analytics_workers_lost_total',
    help: 'Evaluation workers that were stopped or crashed. Labels: death (time, memory, crash).',
    labelNames: ['death'],
  }),
}

/** Exports the queue lengths of the pool. Call it once per process. */
export function observePool(pool: EvaluationPool): Gauge {
  return new Gauge({
    name: 'ponix_analytics_evaluations_waiting',
    help: 'Payloads that wait for their evaluation. Labels: lane (quick, background).',
    labelNames: ['lane'],
    collect() {
      this.set({ lane: 'quick' }, pool.usage.quick)
      this.set({ lane: 'background' }, pool.usage.background)
    },
  })
}

/** Records the time from the receipt of an envelope until a stage has stored it. */
export function observeDelay(stage: 'processed' | 'stored', micros: bigint): void {
  analyticsMetrics.delaySeconds.observe({ stage }, Math.max(0, Number(micros) / 1e6))
}
