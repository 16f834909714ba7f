import { connectClickHouse } from '../../src/clickhouse/connection.ts'
import { createEnvelopeWriter } from '../../src/clickhouse/envelope-writer.ts'
import { clickhouseOptions } from '../../src/clickhouse/options.ts'
import { connectNats } from '../../src/nats/connection.ts'
import { natsOptions, streamsOf } from '../../src/nats/options.ts'
import { ensureStreams } from '../../src/nats/streams.ts'
import { PostgresCaptureActivity } from '../../src/postgres/capture-activity.ts'
import { connectPostgres } from '../../src/postgres/database.ts'
import { PostgresEndDeviceRepository } from '../../src/postgres/end-device-repository.ts'
import { PostgresLastSeenStore } from '../../src/postgres/last-seen-store.ts'
import { postgresOptions } from '../../src/postgres/options.ts'
import { PostgresOrganizationRepository } from '../../src/postgres/organization-repository.ts'
import type { Logger } from '../../src/runner/logger.ts'
import type { Closer, ReadinessCheck } from '../../src/runner/runner.ts'
import type { AnalyticsEnvironment } from './environment.ts'

/** Connects to the three servers, each waited for; throws a StartupError when one does not answer in time. */
export async function openClients(environment: AnalyticsEnvironment, logger: Logger) {
  const client = { name: 'ponix-analytics', logger }
  const [database, clickhouse, nats] = await Promise.all([
    connectPostgres(postgresOptions(environment, client)),
    connectClickHouse(clickhouseOptions(environment, client)),
    connectNats(natsOptions(environment, client)),
  ])
  await ensureStreams(nats, streamsOf(environment))
  const readiness: Readonly<Record<string, ReadinessCheck>> = {
    postgres: (signal) => database.ping(signal),
    clickhouse: (signal) => clickhouse.ping(signal),
    nats: (signal) => nats.ping(signal),
  }
  const closers: Readonly<Record<string, Closer>> = {
    postgres: () => database.close(),
    clickhouse: () => clickhouse.close(),
    nats: () => nats.drain(),
  }
  return {
    nats,
    endDevices: new PostgresEndDeviceRepository(database),
    organizations: new PostgresOrganizationRepository(database),
    capture: new PostgresCaptureActivity(database, environment.PONIX_CDC_SLOT_NAME),
    lastSeenStore: new PostgresLastSeenStore(database),
    writer: createEnvelopeWriter(clickhouse),
    readiness,
    closers,
  }
}
