import { z } from 'zod'
import { connectClickHouse, clickhouseOptions } from '../../src/clickhouse/connection.ts'
import { createEnvelopeWriter } from '../../src/clickhouse/envelope-writer.ts'
import { ExpiredRows } from '../../src/clickhouse/expired-rows.ts'
import { connectNats, natsOptions } from '../../src/nats/connection.ts'
import { streamsOf, ensureStreams } from '../../src/nats/streams.ts'
import { PostgresCaptureActivity } from '../../src/postgres/replication/slot.ts'
import { connectPostgres, postgresOptions } from '../../src/postgres/database.ts'
import { PostgresDeviceProfileRepository } from '../../src/postgres/device-profile-repository.ts'
import { PostgresEndDeviceRepository, PostgresLastSeenStore } from '../../src/postgres/end-device-repository.ts'
import { PostgresOrganizationRepository } from '../../src/postgres/organization-repository.ts'
import {
  clickhouseEnvironment,
  commonEnvironment,
  integer,
  natsEnvironment,
  postgresEnvironment,
  seconds,
  type Environment,
} from '../../src/runner/environment.ts'
import type { Logger } from '../../src/runner/logger.ts'

export const analyticsEnvironment = z.object({
  ...commonEnvironment,
  ...natsEnvironment,
  ...postgresEnvironment,
  ...clickhouseEnvironment,
  /** Envelopes are independent: large batches only reduce the cost. */
  PONIX_NATS_BATCH_SIZE: integer(1, 10_000).prefault('500'),
  /** Short because the next batch accumulates during an evaluation. */
  PONIX_NATS_BATCH_WAIT_SECS: seconds(0, 3600).prefault('0.02'),
  /** Rows per insert … */
  PONIX_CLICKHOUSE_BATCH_ROWS: integer(1, 100_000).prefault('10000'),
  /** … and the time to collect them. */
  PONIX_CLICKHOUSE_BATCH_MS: integer(0, 60_000).prefault('1000'),
  /** Evaluation threads: one for slow or new expressions, all others for quick ones. */
  PONIX_ANALYTICS_WORKERS: integer(2, 64).prefault('2'),
  /** Heap of one evaluation thread. */
  PONIX_ANALYTICS_WORKER_MEMORY_MB: integer(16, 4096).prefault('64'),
  /** How long the envelopes of an unknown device wait for it to be created. */
  PONIX_ANALYTICS_UNKNOWN_DEVICE_WAIT_SECS: seconds(0, 86_400).prefault('60'),
  /** The replication slot of the service cdc, which publishes changes of devices. */
  PONIX_CDC_SLOT_NAME: z.string().default('ponix_cdc_slot'),
})

export type AnalyticsEnvironment = Environment<typeof analyticsEnvironment>

/** Waits for all three servers; throws a StartupError if one does not answer in time. */
export async function openClients(environment: AnalyticsEnvironment, logger: Logger) {
  const client = { name: 'ponix-analytics', logger }
  const [database, clickhouse, nats] = await Promise.all([
    connectPostgres(postgresOptions(environment, client)),
    connectClickHouse(clickhouseOptions(environment, client)),
    connectNats(natsOptions(environment, client)),
  ])
  await ensureStreams(nats, streamsOf(environment))
  return {
    nats,
    clickhouse,
    endDevices: new PostgresEndDeviceRepository(database),
    organizations: new PostgresOrganizationRepository(database),
    profiles: new PostgresDeviceProfileRepository(database),
    capture: new PostgresCaptureActivity(database, environment.PONIX_CDC_SLOT_NAME),
    lastSeenStore: new PostgresLastSeenStore(database),
    writer: createEnvelopeWriter(clickhouse),
    expiredRows: new ExpiredRows(clickhouse),
    readiness: {
      postgres: (signal: AbortSignal) => database.ping(signal),
      clickhouse: (signal: AbortSignal) => clickhouse.ping(signal),
      nats: (signal: AbortSignal) => nats.ping(signal),
    },
    closers: {
      postgres: () => database.close(),
      clickhouse: () => clickhouse.close(),
      nats: () => nats.drain(),
    },
  }
}
