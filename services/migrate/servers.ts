import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ClickHouseMigrationStore } from '../../src/clickhouse/migration-store.ts'
import { CLICKHOUSE_SQL, POSTGRES_SQL } from '../../src/clickhouse/sql-tokens.ts'
import { connectNats } from '../../src/nats/connection.ts'
import { ensureStreams, streamDefinitions } from '../../src/nats/streams.ts'
import { PostgresMigrationStore } from '../../src/postgres/migration-store.ts'
import type { Logger } from '../../src/runner/logger.ts'
import type { MigrateEnvironment } from './environment.ts'
import type { MigrationTarget } from './target.ts'

export type TargetName = 'postgres' | 'clickhouse'

/** How the servers are reached. */
export interface Reach {
  readonly environment: MigrateEnvironment
  readonly logger: Logger
  readonly signal: AbortSignal
}

/** PostgreSQL, which also holds the lock under which every database is migrated. */
export function connectPostgresStore({ environment, logger, signal }: Reach): Promise<PostgresMigrationStore> {
  return PostgresMigrationStore.connect({
    host: environment.PONIX_POSTGRES_HOST,
    port: environment.PONIX_POSTGRES_PORT,
    database: environment.PONIX_POSTGRES_DATABASE,
    username: environment.PONIX_POSTGRES_USERNAME,
    password: environment.PONIX_POSTGRES_PASSWORD,
    applicationName: 'ponix-migrate',
    startupTimeoutMs: environment.PONIX_STARTUP_TIMEOUT_SECS,
    logger,
    signal,
  })
}

export function connectClickHouseStore({ environment, logger, signal }: Reach): Promise<ClickHouseMigrationStore> {
  return ClickHouseMigrationStore.connect({
    url: environment.PONIX_CLICKHOUSE_URL,
    database: environment.PONIX_CLICKHOUSE_DATABASE,
    username: environment.PONIX_CLICKHOUSE_USERNAME,
    password: environment.PONIX_CLICKHOUSE_PASSWORD,
    application: 'ponix-migrate',
    startupTimeoutMs: environment.PONIX_STARTUP_TIMEOUT_SECS,
    logger,
    signal,
  })
}

export function postgresTarget(store: PostgresMigrationStore, environment: MigrateEnvironment): MigrationTarget {
  const directory = environment.PONIX_POSTGRES_MIGRATIONS_DIR ?? ownMigrations('postgres')
  return { server: 'PostgreSQL', directory, dialect: POSTGRES_SQL, store }
}

export function clickhouseTarget(store: ClickHouseMigrationStore, environment: MigrateEnvironment): MigrationTarget {
  const directory = environment.PONIX_CLICKHOUSE_MIGRATIONS_DIR ?? ownMigrations('clickhouse')
  return { server: 'ClickHouse', directory, dialect: CLICKHOUSE_SQL, store }
}

/** Creates the streams that are missing (N-1). */
export async function ensureNatsStreams({ environment, logger, signal }: Reach): Promise<void> {
  const client = await connectNats({
    url: environment.PONIX_NATS_URL,
    name: 'ponix-migrate',
    startupTimeoutMs: environment.PONIX_STARTUP_TIMEOUT_SECS,
    logger,
    signal,
  })
  try {
    const streams = streamDefinitions({
      rawStream: environment.PONIX_NATS_RAW_STREAM,
      processedStream: environment.PONIX_PROCESSED_ENVELOPES_STREAM,
      gatewayStream: environment.PONIX_NATS_GATEWAY_STREAM,
      maxAgeMs: environment.PONIX_NATS_STREAM_MAX_AGE_SECS,
      maxBytes: environment.PONIX_NATS_STREAM_MAX_BYTES,
      duplicateWindowMs: environment.PONIX_NATS_DUPLICATE_WINDOW_SECS,
    })
    await ensureStreams(client, streams)
    logger.info(`NATS has the streams ${streams.map(({ name }) => name).join(', ')}`)
  } finally {
    await client.drain()
  }
}

/** The package's folder: the same from a source file and from a bundle. */
function ownMigrations(database: TargetName): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return join(folder, 'migrations', database)
}
