import { join } from 'node:path'
import { Option, type Command } from 'commander'
import { z } from 'zod'
import { clickhouseOptions } from '../../src/clickhouse/connection.ts'
import { ClickHouseMigrationStore } from '../../src/clickhouse/migration-store.ts'
import { CLICKHOUSE_SQL, POSTGRES_SQL } from '../../src/clickhouse/sql-tokens.ts'
import { MigrationError } from '../../src/domain/errors.ts'
import { connectNats, natsOptions } from '../../src/nats/connection.ts'
import { streamsOf, ensureStreams } from '../../src/nats/streams.ts'
import { postgresOptions } from '../../src/postgres/database.ts'
import { PostgresMigrationStore } from '../../src/postgres/migration-store.ts'
import {
  clickhouseEnvironment,
  commonEnvironment,
  natsEnvironment,
  postgresEnvironment,
  type Environment,
} from '../../src/runner/environment.ts'
import { createLogger, type Logger } from '../../src/runner/logger.ts'
import { packageRoot } from '../../src/runner/program.ts'
import { migrateDown, migrateUp, migrationStatus, type MigrationStatus, type MigrationTarget } from './migrate.ts'

interface Flags {
  readonly target: TargetName | 'all'
  readonly json?: true
}

/** `ponix-migrate [up|down|status]`. The actions reject with what went wrong. */
export function addMigrateCommands(program: Command, environment: () => MigrateEnvironment): void {
  const add = (name: string, description: string, isDefault = false): Command =>
    program
      .command(name, { isDefault })
      .description(description)
      .addOption(
        new Option('--target <database>', 'one database only')
          .choices(['postgres', 'clickhouse', 'all'])
          .default('all'),
      )
  add('up', 'apply pending migrations (default); with all databases, also create the NATS streams', true).action(
    (flags: Flags) => up(flags, reach(environment())),
  )
  add('down', 'revert the newest migration of each database').action((flags: Flags) =>
    down(flags, reach(environment())),
  )
  add('status', 'show every migration and whether it is applied')
    .option('--json', 'as JSON')
    .action((flags: Flags) => status(flags, reach(environment())))
}

function reach(environment: MigrateEnvironment): Reach {
  const interrupted = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => interrupted.abort(new MigrationError(`stopped by ${name} before the end`)))
  }
  return { environment, logger: createLogger('migrate'), signal: interrupted.signal }
}

async function up({ target }: Flags, reach: Reach): Promise<void> {
  await withTargets(target, reach, true, async (targets) => {
    for (const each of targets) await migrateUp(each, reach.logger, reach.signal)
  })
  if (target === 'all') await ensureNatsStreams(reach)
}

/** What depends goes first: ClickHouse's tables need nothing of PostgreSQL's, so the order only mirrors that of `up`. */
async function down({ target }: Flags, reach: Reach): Promise<void> {
  await withTargets(target, reach, true, async (targets) => {
    for (const each of targets.toReversed()) await migrateDown(each, reach.logger, reach.signal)
  })
}

async function status({ target, json }: Flags, reach: Reach): Promise<void> {
  await withTargets(target, reach, false, async (targets) => {
    const rows: (MigrationStatus & { readonly server: string })[] = []
    for (const each of targets) {
      for (const row of await migrationStatus(each)) rows.push({ server: each.server, ...row })
    }
    process.stdout.write(json === true ? `${JSON.stringify(rows, undefined, 2)}\n` : tableText(rows))
  })
}

/** The lock is PostgreSQL's, whichever databases are meant: ClickHouse has none. */
async function withTargets(
  name: Flags['target'],
  reach: Reach,
  locked: boolean,
  work: (targets: readonly MigrationTarget[]) => Promise<void>,
): Promise<void> {
  const postgres = await connectPostgresStore(reach)
  try {
    if (name === 'postgres') return await run([postgresTarget(postgres, reach.environment)])
    const clickhouse = await connectClickHouseStore(reach)
    try {
      const second = clickhouseTarget(clickhouse, reach.environment)
      await run(name === 'all' ? [postgresTarget(postgres, reach.environment), second] : [second])
    } finally {
      await clickhouse[Symbol.asyncDispose]()
    }
  } finally {
    await postgres[Symbol.asyncDispose]()
  }
  function run(targets: readonly MigrationTarget[]): Promise<void> {
    return locked ? postgres.withLock(() => work(targets)) : work(targets)
  }
}

function tableText(rows: readonly (MigrationStatus & { readonly server: string })[]): string {
  return rows
    .map(({ server, name, state, appliedAt }) => {
      const when = appliedAt === null ? '' : appliedAt.toISOString()
      return `${server.padEnd(10)}  ${state.padEnd(7)}  ${when.padEnd(24)}  ${name}\n`
    })
    .join('')
}

const NAME = 'ponix-migrate'

export type TargetName = 'postgres' | 'clickhouse'

/** How the servers are reached. */
export interface Reach {
  readonly environment: MigrateEnvironment
  readonly logger: Logger
  readonly signal: AbortSignal
}

/** PostgreSQL, which also holds the lock under which every database is migrated. */
function connectPostgresStore(reach: Reach): Promise<PostgresMigrationStore> {
  return PostgresMigrationStore.connect(
    postgresOptions(reach.environment, { name: NAME, logger: reach.logger, signal: reach.signal }),
  )
}

function connectClickHouseStore(reach: Reach): Promise<ClickHouseMigrationStore> {
  return ClickHouseMigrationStore.connect(
    clickhouseOptions(reach.environment, { name: NAME, logger: reach.logger, signal: reach.signal }),
  )
}

function postgresTarget(store: PostgresMigrationStore, environment: MigrateEnvironment): MigrationTarget {
  const directory = environment.PONIX_POSTGRES_MIGRATIONS_DIR ?? join(packageRoot(), 'migrations', 'postgres')
  return { server: 'PostgreSQL', directory, dialect: POSTGRES_SQL, store }
}

function clickhouseTarget(store: ClickHouseMigrationStore, environment: MigrateEnvironment): MigrationTarget {
  const directory = environment.PONIX_CLICKHOUSE_MIGRATIONS_DIR ?? join(packageRoot(), 'migrations', 'clickhouse')
  return { server: 'ClickHouse', directory, dialect: CLICKHOUSE_SQL, store }
}

/** Creates the streams that are missing (N-1). */
async function ensureNatsStreams({ environment, logger, signal }: Reach): Promise<void> {
  const client = await connectNats(natsOptions(environment, { name: NAME, logger, signal }))
  try {
    const streams = streamsOf(environment)
    await ensureStreams(client, streams)
    logger.info(`NATS has the streams ${streams.map(({ name }) => name).join(', ')}`)
  } finally {
    await client.drain()
  }
}

/** What ponix-migrate reads from the environment. */
export const migrateEnvironment = z.object({
  ...commonEnvironment,
  ...postgresEnvironment,
  ...clickhouseEnvironment,
  ...natsEnvironment,
  /** Default: the package's own. */
  PONIX_POSTGRES_MIGRATIONS_DIR: z.string().optional(),
  PONIX_CLICKHOUSE_MIGRATIONS_DIR: z.string().optional(),
})

export type MigrateEnvironment = Environment<typeof migrateEnvironment>
