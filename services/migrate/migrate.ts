import { setImmediate as nextTurn } from 'node:timers/promises'
import type { SqlDialect } from '../../src/clickhouse/sql-tokens.ts'
import { MigrationError } from '../../src/domain/errors.ts'
import type { MigrationStore } from '../../src/domain/ports.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { readMigrations, type MigrationFile } from './migration-file.ts'

/** A database and its folder of migrations. */
export interface MigrationTarget {
  readonly server: SqlDialect
  readonly directory: string
  readonly store: MigrationStore
}

export interface MigrationStatus {
  readonly server: SqlDialect
  readonly name: string
  /** `changed`: the file differs from the applied file. `missing`: applied, but without a file, perhaps by a newer version. */
  readonly state: 'applied' | 'pending' | 'changed' | 'missing'
  readonly appliedAt: Date | null
}

/** Applies pending migrations in order and records each of them. Throws a MigrationError. */
export async function migrateUp(target: MigrationTarget, logger: Logger, signal: AbortSignal): Promise<void> {
  const { server, store } = target
  const files = await readMigrations(target.directory, target.server)
  const pending = new Map(files.map((file) => [file.name, file] as const))
  for (const { name, checksum, appliedAt } of await store.applied()) {
    const file = pending.get(name)
    if (file === undefined)
      logger.warn(`${server} has ${name}, which is unknown to this version; a newer version has applied it`)
    else if (file.checksum !== checksum) {
      throw new MigrationError(
        `${file.path} was changed after ${server} applied it (${appliedAt.toISOString()}): restore it and write a new migration for the change`,
      )
    }
    pending.delete(name)
  }
  for (const file of pending.values()) {
    await run(target, file, 'up', signal)
    logger.info(`${server}: applied ${file.name}`)
  }
  if (pending.size === 0) logger.info({ migrations: files.length }, `${server} is up to date`)
}

/** Reverts the newest applied migration. Throws a MigrationError. */
export async function migrateDown(target: MigrationTarget, logger: Logger, signal: AbortSignal): Promise<void> {
  const { server, store, directory } = target
  const files = await readMigrations(directory, target.server)
  const newest = (await store.applied()).at(-1)
  if (newest === undefined) {
    logger.info(`${server} has no migration to revert`)
    return
  }
  const file = files.find(({ name }) => name === newest.name)
  if (file === undefined) {
    throw new MigrationError(
      `${server}: ${newest.name} cannot be reverted, because ${directory} has no file ${newest.name}.sql; use the version that applied it`,
    )
  }
  await run(target, file, 'down', signal)
  logger.info(`${server}: reverted ${file.name}`)
}

/** Returns every migration of the folder or the database, in order. */
export async function migrationStatus(target: MigrationTarget): Promise<readonly MigrationStatus[]> {
  const files = new Map(
    (await readMigrations(target.directory, target.server)).map((file) => [file.name, file] as const),
  )
  const applied = new Map((await target.store.applied()).map((migration) => [migration.name, migration] as const))
  return [...new Set([...files.keys(), ...applied.keys()])].sort().map((name) => {
    const [file, entry] = [files.get(name), applied.get(name)]
    const appliedState = entry?.checksum === file?.checksum ? 'applied' : 'changed'
    const state = file === undefined ? 'missing' : entry === undefined ? 'pending' : appliedState
    return { server: target.server, name, state, appliedAt: entry?.appliedAt ?? null }
  })
}

async function run(
  { server, store }: MigrationTarget,
  file: MigrationFile,
  direction: 'up' | 'down',
  signal: AbortSignal,
): Promise<void> {
  // Let signals arrive between migrations, even if the store awaits nothing.
  await nextTurn()
  signal.throwIfAborted()
  const statements = file[direction]
  const change = { name: file.name, checksum: direction === 'up' ? file.checksum : null }
  const failure = await store.migrate(
    statements.map(({ sql }) => sql),
    change,
  )
  if (failure === undefined) return
  const line = (statements[failure.index]?.line ?? 1) + failure.line
  throw new MigrationError(`${file.path}:${line}: ${server}: ${failure.message}`)
}
