import { Counter, Gauge, Histogram } from 'prom-client'
import type { EvaluationPool } from '../../src/cel/evaluation-pool.ts'
import type { MessageResult } from '../../src/nats/delivery.ts'
import type { Failure } from './raw-envelope-processor.ts'

const DELAY_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2.5, 5, 10, 30, 60, 300, 3600]

/** What analytics tells of its work. What it consumes, batch sizes and lag are in the metrics of the NATS layer. */
export const analyticsMetrics = {
  processed: new Counter({
    name: 'ponix_analytics_processed_total',
    help: 'Raw envelopes that became processed envelopes, stored in JetStream.',
  }),
  stored: new Counter({
    name: 'ponix_analytics_stored_total',
    help: 'Processed envelopes that ClickHouse has stored.',
  }),
  failed: new Counter({
    name: 'ponix_analytics_failed_total',
    help: 'Envelopes that did not go on, by cause and by what became of them: retry, dead_letter.',
    labelNames: ['cause', 'outcome'],
  }),
  delaySeconds: new Histogram({
    name: 'ponix_analytics_delay_seconds',
    help: 'Time since the device was heard, when its envelope was processed and when it was stored.',
    labelNames: ['stage'],
    buckets: DELAY_BUCKETS,
  }),
  insertRows: new Histogram({
    name: 'ponix_analytics_insert_rows',
    help: 'Rows written to ClickHouse at once.',
    buckets: [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000],
  }),
  insertSeconds: new Histogram({
    name: 'ponix_analytics_insert_seconds',
    help: 'Time until ClickHouse had stored the rows, tries while it was away included.',
    buckets: DELAY_BUCKETS,
  }),
  insertRetries: new Counter({
    name: 'ponix_analytics_insert_retries_total',
    help: 'Inserts that were tried again because ClickHouse did not take them.',
  }),
  changesKnown: new Gauge({
    name: 'ponix_analytics_device_changes_known',
    help: '1 while changed devices are heard of at once; 0 while they are looked up every second.',
  }),
  workersLost: new Counter({
    name: 'ponix_analytics_workers_lost_total',
    help: 'Evaluation workers that were stopped or died: time, memory, crash.',
    labelNames: ['death'],
  }),
}

/** Makes the pool's state a gauge. Once per process. */
export function observePool(pool: EvaluationPool): Gauge {
  return new Gauge({
    name: 'ponix_analytics_evaluations_waiting',
    help: 'Payloads that wait for their evaluation, by lane.',
    labelNames: ['lane'],
    collect() {
      this.set({ lane: 'quick' }, pool.usage.quick)
      this.set({ lane: 'slow' }, pool.usage.slow)
    },
  })
}

/** The broker's side of a failure; counts it. */
export function verdictOn({ kind, cause, reason }: Failure): MessageResult {
  analyticsMetrics.failed.inc({ cause, outcome: kind })
  return { kind, reason }
}
