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
    help: 'Messages that can never be stored. Labels: code.',
    labelNames: ['code'],
  }),
  deadLetters: new Counter({
    name: 'ponix_nats_dead_letters_total',
    help: 'Dead letters, stored or dropped by the quota or because their stream is full. Labels: cause; outcome (stored, dropped).',
    labelNames: ['cause', 'outcome'],
  }),
  consumed: new Counter({
    name: 'ponix_nats_consumed_total',
    help: 'Messages processed. Labels: durable; outcome (ack, retry, dead_letter, dropped).',
    labelNames: ['durable', 'outcome'],
  }),
  redelivered: new Counter({
    name: 'ponix_nats_redelivered_total',
    help: 'Messages delivered again. Labels: durable.',
    labelNames: ['durable'],
  }),
  batchSize: new Histogram({
    name: 'ponix_nats_batch_size',
    help: 'Messages per call of the handler. Labels: durable.',
    labelNames: ['durable'],
    buckets: [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000],
  }),
  batchSeconds: new Histogram({
    name: 'ponix_nats_batch_seconds',
    help: 'Time until all messages of a batch had a result. Labels: durable.',
    labelNames: ['durable'],
    buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100],
  }),
  pending: new Gauge({
    name: 'ponix_nats_pending',
    help: 'Lag: messages of the stream not yet delivered to the durable consumer. Labels: durable.',
    labelNames: ['durable'],
  }),
  ackPending: new Gauge({
    name: 'ponix_nats_ack_pending',
    help: 'Messages delivered by the durable consumer, to all instances, and not yet acknowledged. Labels: durable.',
    labelNames: ['durable'],
  }),
  expiredUnread: new Counter({
    name: 'ponix_nats_expired_unread_total',
    help: 'Messages that the stream dropped before the durable consumer had read them; each instance counts all of them. Labels: stream, durable.',
    labelNames: ['stream', 'durable'],
  }),
  oldestUnreadSeconds: new Gauge({
    name: 'ponix_nats_oldest_unread_seconds',
    help: 'Age of the oldest message that the durable consumer has not acknowledged; 0 if there is none. Labels: stream, durable.',
    labelNames: ['stream', 'durable'],
  }),
  streamInfo: new Gauge({
    name: 'ponix_nats_stream_info',
    help: '1 for each stream; its subjects identify it under any name. Labels: stream, subjects.',
    labelNames: ['stream', 'subjects'],
  }),
  streamMessages: new Gauge({
    name: 'ponix_nats_stream_messages',
    help: 'Messages in the stream. Labels: stream.',
    labelNames: ['stream'],
  }),
  streamBytes: new Gauge({
    name: 'ponix_nats_stream_bytes',
    help: 'Bytes in the stream. Labels: stream.',
    labelNames: ['stream'],
  }),
  streamBytesLimit: new Gauge({
    name: 'ponix_nats_stream_bytes_limit',
    help: 'Byte limit of the stream; absent if it has none. Labels: stream.',
    labelNames: ['stream'],
  }),
  streamAgeSeconds: new Gauge({
    name: 'ponix_nats_stream_age_seconds',
    help: 'Age of the oldest message in the stream; 0 if it is empty. Labels: stream.',
    labelNames: ['stream'],
  }),
  streamAgeLimitSeconds: new Gauge({
    name: 'ponix_nats_stream_age_limit_seconds',
    help: 'Age limit of the stream; absent if it has none. Labels: stream.',
    labelNames: ['stream'],
  }),
}
