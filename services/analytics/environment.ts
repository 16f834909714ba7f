import { z } from 'zod'
import {
  clickhouseEnvironment,
  commonEnvironment,
  integer,
  natsEnvironment,
  postgresEnvironment,
  seconds,
} from '../../src/runner/environment-fragments.ts'

/** What analytics reads from the environment. */
export const analyticsEnvironment = z.object({
  ...commonEnvironment,
  ...natsEnvironment,
  ...postgresEnvironment,
  ...clickhouseEnvironment,
  /** One envelope waits for no other, so many at once only cost less. */
  PONIX_NATS_BATCH_SIZE: integer(1, 10_000).prefault('500'),
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
  /** Of the service cdc, which tells of changed devices. */
  PONIX_CDC_SLOT_NAME: z.string().default('ponix_cdc_slot'),
})

export type AnalyticsEnvironment = z.infer<typeof analyticsEnvironment>
