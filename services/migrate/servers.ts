import { join } from 'node:path'
import { clickhouseOptions } from '../../src/clickhouse/connection.ts'
import { ClickHouseMigrationStore } from '../../src/clickhouse/migration-store.ts'
import { CLICKHOUSE_SQL, POSTGRES_SQL } from '../../src/clickhouse/sql-tokens.ts'
import { connectNats, natsOptions } from '../../src/nats/connection.ts'
import { streamsOf, ensureStreams } from '../../src/nats/streams.ts'
import { PostgresMigrationStore } from '../../src/postgres/migration-store.ts'
import { postgresOptions } from '../../src/postgres/database.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { packageRoot } from '../../src/runner/program.ts'
import type { MigrateEnvironment } from './environment.ts'
import type { MigrationTarget } from './target.ts'

const NAME = 'ponix-migrate'

export type TargetName = 'postgres' | 'clickhouse'

/** How the servers are reached. */
export interface Reach {
  readonly environment: MigrateEnvironment
  readonly logger: Logger
  readonly signal: AbortSignal
}

/** PostgreSQL, which also holds the lock under which every database is migrated. */
export function connectPostgresStore(reach: Reach): Promise<PostgresMigrationStore> {
  return PostgresMigrationStore.connect(
    postgresOptions(reach.environment, { name: NAME, logger: reach.logger, signal: reach.signal }),
  )
}

export function connectClickHouseStore(reach: Reach): Promise<ClickHouseMigrationStore> {
  return ClickHouseMigrationStore.connect(
    clickhouseOptions(reach.environment, { name: NAME, logger: reach.logger, signal: reach.signal }),
  )
}

export function postgresTarget(store: PostgresMigrationStore, environment: MigrateEnvironment): MigrationTarget {
  const directory = environment.PONIX_POSTGRES_MIGRATIONS_DIR ?? join(packageRoot(), 'migrations', 'postgres')
  return { server: 'PostgreSQL', directory, dialect: POSTGRES_SQL, store }
}

export function clickhouseTarget(store: ClickHouseMigrationStore, environment: MigrateEnvironment): MigrationTarget {
  const directory = environment.PONIX_CLICKHOUSE_MIGRATIONS_DIR ?? join(packageRoot(), 'migrations', 'clickhouse')
  return { server: 'ClickHouse', directory, dialect: CLICKHOUSE_SQL, store }
}

/** Creates the streams that are missing (N-1). */
export async function ensureNatsStreams({ environment, logger, signal }: Reach): Promise<void> {
  const client = await connectNats(natsOptions(environment, { name: NAME, logger, signal }))
  try {
    const streams = streamsOf(environment)
    await ensureStreams(client, streams)
    logger.info(`NATS has the streams ${streams.map(({ name }) => name).join(', ')}`)
  } finally {
    await client.drain()
  }
}
