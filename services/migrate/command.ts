import { Command, Option } from 'commander'
import { migrateDown, migrateUp, migrationStatus, type MigrationStatus } from './migrate.ts'
import {
  clickhouseTarget,
  connectClickHouseStore,
  connectPostgresStore,
  ensureNatsStreams,
  postgresTarget,
  type Reach,
  type TargetName,
} from './servers.ts'
import type { MigrationTarget } from './target.ts'

interface Flags {
  readonly target: TargetName | 'all'
  readonly json?: true
}

/** `ponix-migrate [up|down|status]`. Its actions reject with what went wrong. */
export function migrateCommand(reach: Reach): Command {
  const program = new Command('ponix-migrate')
    .description('Brings the databases to the version of this package; several at the same time do it once')
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .option('--print-config', 'prints the environment in force, secrets masked, and exits')
  const add = (name: string, description: string, isDefault = false): Command =>
    program
      .command(name, { isDefault })
      .copyInheritedSettings(program)
      .description(description)
      .addOption(
        new Option('--target <database>', 'one database only')
          .choices(['postgres', 'clickhouse', 'all'])
          .default('all'),
      )
  add('up', 'applies what is pending; with all databases, NATS gets its streams too', true).action((flags: Flags) =>
    up(flags, reach),
  )
  add('down', 'takes the newest migration back, of each database').action((flags: Flags) => down(flags, reach))
  add('status', 'shows every migration and whether it is applied')
    .option('--json', 'as JSON')
    .action((flags: Flags) => status(flags, reach))
  return program
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
