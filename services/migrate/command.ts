import { join } from 'node:path'
import { Option, type Command } from 'commander'
import { z } from 'zod'
import { clickhouseOptions } from '../../src/clickhouse/connection.ts'
import { ClickHouseMigrationStore } from '../../src/clickhouse/migration-store.ts'
import { MigrationError } from '../../src/domain/errors.ts'
import { connectNats, natsOptions } from '../../src/nats/connection.ts'
import { ensureStreams, streamsOf } from '../../src/nats/streams.ts'
import { postgresOptions } from '../../src/postgres/database.ts'
import { PostgresMigrationStore } from '../../src/postgres/migration-store.ts'
import {
  clickhouseEnvironment,
  commonEnvironment,
  natsEnvironment,
  postgresEnvironment,
  type Environment,
} from '../../src/runner/environment.ts'
import { createLogger } from '../../src/runner/logger.ts'
import { packageRoot } from '../../src/runner/program.ts'
import type { ClientIdentity } from '../../src/runner/startup.ts'
import { migrateDown, migrateUp, migrationStatus, type MigrationStatus, type MigrationTarget } from './migrate.ts'

export const migrateEnvironment = z.object({
  ...commonEnvironment,
  ...postgresEnvironment,
  ...clickhouseEnvironment,
  ...natsEnvironment,
  /** Default: the package's own. */
  PONIX_POSTGRES_MIGRATIONS_DIR: z.string().optional(),
  PONIX_CLICKHOUSE_MIGRATIONS_DIR: z.string().optional(),
})

type MigrateEnvironment = Environment<typeof migrateEnvironment>

interface Flags {
  readonly target: 'postgres' | 'clickhouse' | 'all'
  readonly json?: true
}

interface Context {
  readonly environment: MigrateEnvironment
  readonly client: ClientIdentity & { readonly signal: AbortSignal }
}

/** Adds `ponix-migrate [up|down|status]`. The actions reject with the failure. */
export function addMigrateCommands(program: Command, environment: () => MigrateEnvironment): void {
  const add = (
    name: string,
    description: string,
    action: (flags: Flags, context: Context) => Promise<void>,
    isDefault = false,
  ): Command =>
    program
      .command(name, { isDefault })
      .description(description)
      .addOption(
        new Option('--target <database>', 'one database only')
          .choices(['postgres', 'clickhouse', 'all'])
          .default('all'),
      )
      .action((flags: Flags) => action(flags, createContext(environment())))
  add('up', 'apply pending migrations (default); with all databases, also create the NATS streams', up, true)
  add('down', 'revert the newest migration of each database', down)
  add('status', 'show every migration and whether it is applied', status).option('--json', 'as JSON')
}

function createContext(environment: MigrateEnvironment): Context {
  const interrupted = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => interrupted.abort(new MigrationError(`stopped by ${name} before the end`)))
  }
  const client = { name: 'ponix-migrate', logger: createLogger('migrate'), signal: interrupted.signal }
  return { environment, client }
}

async function up({ target }: Flags, context: Context): Promise<void> {
  const { logger, signal } = context.client
  await withTargets(target, context, true, async (targets) => {
    for (const each of targets) await migrateUp(each, logger, signal)
  })
  if (target === 'all') await ensureNatsStreams(context)
}

async function down({ target }: Flags, context: Context): Promise<void> {
  const { logger, signal } = context.client
  await withTargets(target, context, true, async (targets) => {
    for (const each of targets.toReversed()) await migrateDown(each, logger, signal)
  })
}

async function status({ target, json }: Flags, context: Context): Promise<void> {
  await withTargets(target, context, false, async (targets) => {
    const rows: MigrationStatus[] = []
    for (const each of targets) rows.push(...(await migrationStatus(each)))
    process.stdout.write(json === true ? `${JSON.stringify(rows, undefined, 2)}\n` : tableText(rows))
  })
}

/** Connects to the databases, always to PostgreSQL: it holds the lock for all databases, because ClickHouse has no locks. */
async function withTargets(
  target: Flags['target'],
  { environment, client }: Context,
  locked: boolean,
  work: (targets: readonly MigrationTarget[]) => Promise<void>,
): Promise<void> {
  const targets: MigrationTarget[] = []
  const postgres = await PostgresMigrationStore.connect(postgresOptions(environment, client))
  let clickhouse: ClickHouseMigrationStore | undefined
  try {
    if (target !== 'clickhouse') {
      const directory = environment.PONIX_POSTGRES_MIGRATIONS_DIR ?? join(packageRoot(), 'migrations/postgres')
      targets.push({ server: 'PostgreSQL', directory, store: postgres })
    }
    if (target !== 'postgres') {
      clickhouse = await ClickHouseMigrationStore.connect(clickhouseOptions(environment, client))
      const directory = environment.PONIX_CLICKHOUSE_MIGRATIONS_DIR ?? join(packageRoot(), 'migrations/clickhouse')
      targets.push({ server: 'ClickHouse', directory, store: clickhouse })
    }
    await (locked ? postgres.withLock(() => work(targets)) : work(targets))
  } finally {
    await clickhouse?.[Symbol.asyncDispose]()
    await postgres[Symbol.asyncDispose]()
  }
}

async function ensureNatsStreams({ environment, client }: Context): Promise<void> {
  const nats = await connectNats(natsOptions(environment, client))
  try {
    const streams = streamsOf(environment)
    await ensureStreams(nats, streams)
    client.logger.info(`NATS has the streams ${streams.map(({ name }) => name).join(', ')}`)
  } finally {
    await nats.drain()
  }
}

function tableText(rows: readonly MigrationStatus[]): string {
  return rows
    .map(({ server, name, state, appliedAt }) => {
      const when = appliedAt === null ? '' : appliedAt.toISOString()
      return `${server.padEnd(10)}  ${state.padEnd(7)}  ${when.padEnd(24)}  ${name}\n`
    })
    .join('')
}
