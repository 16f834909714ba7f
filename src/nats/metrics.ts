import { Counter, Gauge, Histogram } from 'prom-client'

export const natsMetrics = {
  connected: new Gauge({ name: 'ponix_nats_connected', help: 'Open connections to NATS.' }),
  reconnects: new Counter({ name: 'ponix_nats_reconnects_total', help: 'Reconnects to NATS.' }),
  published: new Counter({
    name: 'ponix_nats_published_total',
    help: 'Messages acknowledged by JetStream, including duplicates.',
  }),
  duplicates: new Counter({
    name: 'ponix_nats_published_duplicates_total',
    help: 'Acknowledged messages that the stream already had.',
  }),
  resent: new Counter({
    name: 'ponix_nats_resent_total',
    help: 'Messages sent again because they were not acknowledged.',
  }),
  publishFailures: new Counter({
    name: 'ponix_nats_publish_failures_total',
    help: 'Messages that can never be stored, by reason.',
    labelNames: ['code'],
  }),
  consumed: new Counter({
    name: 'ponix_nats_consumed_total',
    help: 'Messages processed, by durable consumer and outcome: ack, retry, dead_letter.',
    labelNames: ['durable', 'outcome'],
  }),
  redelivered: new Counter({
    name: 'ponix_nats_redelivered_total',
    help: 'Messages delivered again.',
    labelNames: ['durable'],
  }),
  batchSize: new Histogram({
    name: 'ponix_nats_batch_size',
    help: 'Messages per call of the handler.',
    labelNames: ['durable'],
    buckets: [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000],
  }),
  batchSeconds: new Histogram({
    name: 'ponix_nats_batch_seconds',
    help: 'Time until all messages of a batch had a result.',
    labelNames: ['durable'],
    buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100],
  }),
  pending: new Gauge({
    name: 'ponix_nats_pending',
    help: 'Lag: messages of the stream not yet delivered to the durable consumer.',
    labelNames: ['durable'],
  }),
  ackPending: new Gauge({
    name: 'ponix_nats_ack_pending',
    help: 'Messages delivered by the durable consumer, to all instances, and not yet acknowledged.',
    labelNames: ['durable'],
  }),
}
