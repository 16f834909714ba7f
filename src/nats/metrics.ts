import { Counter, Gauge, Histogram } from 'prom-client'

/** What the services tell of their dealings with NATS. */
export const natsMetrics = {
  connected: new Gauge({ name: 'ponix_nats_connected', help: 'Connections to NATS that stand now.' }),
  reconnects: new Counter({ name: 'ponix_nats_reconnects_total', help: 'Times NATS was away and came back.' }),
  published: new Counter({
    name: 'ponix_nats_published_total',
    help: 'Messages that JetStream has acknowledged, new and duplicate.',
  }),
  duplicates: new Counter({
    name: 'ponix_nats_published_duplicates_total',
    help: 'Acknowledged messages that the stream had already.',
  }),
  resent: new Counter({ name: 'ponix_nats_resent_total', help: 'Messages sent again for want of an acknowledgement.' }),
  publishFailures: new Counter({
    name: 'ponix_nats_publish_failures_total',
    help: 'Messages given up, by reason.',
    labelNames: ['code'],
  }),
  consumed: new Counter({
    name: 'ponix_nats_consumed_total',
    help: 'Messages answered, by durable consumer and outcome: ack, retry, dead_letter.',
    labelNames: ['durable', 'outcome'],
  }),
  redelivered: new Counter({
    name: 'ponix_nats_redelivered_total',
    help: 'Messages that came a second or later time.',
    labelNames: ['durable'],
  }),
  batchSize: new Histogram({
    name: 'ponix_nats_batch_size',
    help: 'Messages handed to the handler at once.',
    labelNames: ['durable'],
    buckets: [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000],
  }),
  batchSeconds: new Histogram({
    name: 'ponix_nats_batch_seconds',
    help: 'Time until all messages of a batch had their answers.',
    labelNames: ['durable'],
    buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100],
  }),
  pending: new Gauge({
    name: 'ponix_nats_pending',
    help: 'Messages of the stream not yet delivered to the durable consumer: its lag.',
    labelNames: ['durable'],
  }),
  ackPending: new Gauge({
    name: 'ponix_nats_ack_pending',
    help: 'Messages delivered by the durable consumer, to all instances, and not yet answered.',
    labelNames: ['durable'],
  }),
}
