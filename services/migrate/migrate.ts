import { setImmediate as nextTurn } from 'node:timers/promises'
import { Umzug } from 'umzug'
import type { SqlDialect } from '../../src/clickhouse/sql-tokens.ts'
import { MigrationError } from '../../src/domain/errors.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { readMigrations, type MigrationFile, type SqlStatement } from './migration-file.ts'

/** What a database remembers of a migration that it has. */
export interface AppliedMigration {
  readonly name: string
  readonly checksum: string
  readonly appliedAt: Date
}

/** A statement that the database did not take. */
export interface StatementFailure {
  /** Index of the statement. */
  readonly index: number
  /** In which line of the statement, counted from 0; 0 when the database does not say. */
  readonly line: number
  /** The database's words. */
  readonly message: string
}

/** The migrations of one database; the adapters in src/ have them. */
export interface MigrationStore {
  /** In the order of names; empty in a database that has never been migrated. */
  applied(): Promise<readonly AppliedMigration[]>
  /**
   * Runs the statements in order, up to the first failure, which it answers with. Where the database has transactions, what
   * was done counts only with the `record` or `forget` that follows, and nothing of it stays after a failure.
   */
  execute(statements: readonly string[]): Promise<StatementFailure | undefined>
  record(name: string, checksum: string): Promise<void>
  forget(name: string): Promise<void>
}

/** A database with its folder of migrations. */
export interface MigrationTarget {
  /** As people know it: `PostgreSQL`. */
  readonly server: string
  readonly directory: string
  readonly dialect: SqlDialect
  readonly store: MigrationStore
}

/**
 * `changed`: the file is not what was applied. `missing`: applied, but there is no such file (a newer version was here).
 */
export type MigrationState = 'applied' | 'pending' | 'changed' | 'missing'

export interface MigrationStatus {
  readonly name: string
  readonly state: MigrationState
  readonly appliedAt: Date | null
}

/** Applies what is pending, in order; each file counts once it is done. Throws a MigrationError. */
export async function migrateUp(target: MigrationTarget, logger: Logger, signal: AbortSignal): Promise<void> {
  const files = await readMigrations(target.directory, target.dialect)
  const applied = await target.store.applied()
  refuseChanged(target, files, applied)
  const known = new Set(files.map(({ name }) => name))
  for (const { name } of applied.filter(({ name }) => !known.has(name))) {
    logger.warn(`${target.server} has ${name}, which this version does not know: a newer one was here`)
  }
  const migrated = await migrator(target, files, logger, signal).up().catch(rethrowReason)
  if (migrated.length === 0) logger.info({ migrations: files.length }, `${target.server} is up to date`)
}

/** Takes the newest applied migration back. Throws a MigrationError. */
export async function migrateDown(target: MigrationTarget, logger: Logger, signal: AbortSignal): Promise<void> {
  const files = await readMigrations(target.directory, target.dialect)
  const newest = (await target.store.applied()).at(-1)
  if (newest === undefined) {
    logger.info(`${target.server} has no migration to take back`)
    return
  }
  if (!files.some(({ name }) => name === newest.name)) {
    throw new MigrationError(
      `${target.server}: ${newest.name} cannot be taken back, because ${target.directory} has no file ${newest.name}.sql`,
    )
  }
  await migrator(target, files, logger, signal).down().catch(rethrowReason)
}

/** Every migration that the folder or the database knows, in order. */
export async function migrationStatus(target: MigrationTarget): Promise<readonly MigrationStatus[]> {
  const files = new Map(
    (await readMigrations(target.directory, target.dialect)).map((file) => [file.name, file] as const),
  )
  const applied = new Map((await target.store.applied()).map((migration) => [migration.name, migration] as const))
  const names = [...new Set([...files.keys(), ...applied.keys()])].sort()
  return names.map((name) => {
    const [file, inDatabase] = [files.get(name), applied.get(name)]
    return { name, state: stateOf(file, inDatabase), appliedAt: inDatabase?.appliedAt ?? null }
  })
}

function stateOf(file: MigrationFile | undefined, applied: AppliedMigration | undefined): MigrationState {
  if (file === undefined) return 'missing'
  if (applied === undefined) return 'pending'
  return applied.checksum === file.checksum ? 'applied' : 'changed'
}

function refuseChanged(
  target: MigrationTarget,
  files: readonly MigrationFile[],
  applied: readonly AppliedMigration[],
): void {
  for (const migration of applied) {
    const file = files.find(({ name }) => name === migration.name)
    if (file === undefined || file.checksum === migration.checksum) continue
    throw new MigrationError(
      `${file.path} was changed after ${target.server} had it (${migration.appliedAt.toISOString()}): put it back as it was and write a new migration for the change`,
    )
  }
}

function migrator(target: MigrationTarget, files: readonly MigrationFile[], logger: Logger, signal: AbortSignal) {
  const { store, server } = target
  const checksums = new Map(files.map(({ name, checksum }) => [name, checksum] as const))
  return new Umzug({
    migrations: files.map((file) => ({
      name: file.name,
      path: file.path,
      up: () => run(target, file, file.up, signal),
      down: () => run(target, file, file.down, signal),
    })),
    storage: {
      executed: async () => (await store.applied()).map(({ name }) => name),
      async logMigration({ name }) {
        await store.record(name, checksums.get(name) ?? '')
        logger.info(`${server}: applied ${name}`)
      },
      async unlogMigration({ name }) {
        await store.forget(name)
        logger.info(`${server}: took ${name} back`)
      },
    },
    logger: undefined,
  })
}

/** Umzug wraps what a migration throws; the reason speaks for itself. */
function rethrowReason(error: unknown): never {
  throw error instanceof Error && error.cause instanceof Error ? error.cause : error
}

async function run(
  target: MigrationTarget,
  file: MigrationFile,
  statements: readonly SqlStatement[],
  signal: AbortSignal,
): Promise<void> {
  // Signals are heard between migrations even if nothing else would let the event loop turn.
  await nextTurn()
  signal.throwIfAborted()
  const failure = await target.store.execute(statements.map(({ sql }) => sql))
  if (failure === undefined) return
  const line = (statements[failure.index]?.line ?? 1) + failure.line
  throw new MigrationError(`${file.path}:${line}: ${target.server} says: ${failure.message}`)
}
