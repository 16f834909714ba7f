import type { SqlDialect } from '../../src/clickhouse/sql-tokens.ts'

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
