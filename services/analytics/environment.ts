import { z } from 'zod'
import { streamDefinitions } from '../../src/nats/streams.ts'
import {
  clickhouseEnvironment,
  commonEnvironment,
  integer,
  natsEnvironment,
  postgresEnvironment,
  seconds,
} from '../../src/runner/environment-fragments.ts'
import type { Logger } from '../../src/runner/logger.ts'

/** What analytics reads from the environment. */
export const analyticsEnvironment = z.object({
  ...commonEnvironment,
  ...natsEnvironment,
  ...postgresEnvironment,
  ...clickhouseEnvironment,
  /** Milliseconds. Waiting gains nothing for raw envelopes: while one batch is evaluated the next one gathers. */
  PONIX_NATS_BATCH_WAIT_SECS: seconds(0, 3600).prefault('0.02'),
  /** Rows that are gathered for one insert at most … */
  PONIX_CLICKHOUSE_BATCH_ROWS: integer(1, 100_000).prefault('10000'),
  /** … and for how many milliseconds. */
  PONIX_CLICKHOUSE_BATCH_MS: integer(0, 60_000).prefault('1000'),
  /** Threads that evaluate payload conversions; one of them is always there for quick ones. */
  PONIX_ANALYTICS_WORKERS: integer(2, 64).prefault('2'),
  /** Heap of one of these threads. */
  PONIX_ANALYTICS_WORKER_MEMORY_MB: integer(16, 4096).prefault('64'),
})

export type AnalyticsEnvironment = z.infer<typeof analyticsEnvironment>

/** What the environment says of the servers, in the words of their clients. */
export function clientOptions(environment: AnalyticsEnvironment, logger: Logger) {
  const common = { startupTimeoutMs: environment.PONIX_STARTUP_TIMEOUT_SECS, logger }
  return {
    postgres: {
      ...common,
      host: environment.PONIX_POSTGRES_HOST,
      port: environment.PONIX_POSTGRES_PORT,
      database: environment.PONIX_POSTGRES_DATABASE,
      username: environment.PONIX_POSTGRES_USERNAME,
      password: environment.PONIX_POSTGRES_PASSWORD,
      applicationName: 'ponix-analytics',
    },
    clickhouse: {
      ...common,
      url: environment.PONIX_CLICKHOUSE_URL,
      database: environment.PONIX_CLICKHOUSE_DATABASE,
      username: environment.PONIX_CLICKHOUSE_USERNAME,
      password: environment.PONIX_CLICKHOUSE_PASSWORD,
      application: 'ponix-analytics',
    },
    nats: { ...common, url: environment.PONIX_NATS_URL, name: 'ponix-analytics' },
    streams: streamDefinitions({
      rawStream: environment.PONIX_NATS_RAW_STREAM,
      processedStream: environment.PONIX_PROCESSED_ENVELOPES_STREAM,
      gatewayStream: environment.PONIX_NATS_GATEWAY_STREAM,
      maxAgeMs: environment.PONIX_NATS_STREAM_MAX_AGE_SECS,
      maxBytes: environment.PONIX_NATS_STREAM_MAX_BYTES,
      duplicateWindowMs: environment.PONIX_NATS_DUPLICATE_WINDOW_SECS,
    }),
  }
}
