import { ClickHouseError, type ClickHouseClient } from '@clickhouse/client'
import type { AppliedMigration, MigrationChange, MigrationStore, StatementFailure } from '../domain/ports.ts'
import { connectClickHouse, openClickHouse, type ClickHouse, type ClickHouseOptions } from './connection.ts'

/** A reverted migration is inserted again as deleted: ClickHouse deletes rows asynchronously. */
const CREATE = `CREATE TABLE IF NOT EXISTS ponix_migrations (
  name String, checksum String, applied_at DateTime64(3, 'UTC'), version UInt64, deleted UInt8
) ENGINE = ReplacingMergeTree(version, deleted) ORDER BY name
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1`

/** Migrations of a ClickHouse database. There are no transactions: the statements before a failed statement stay applied. */
export class ClickHouseMigrationStore implements MigrationStore, AsyncDisposable {
  readonly #clickhouse: ClickHouse

  private constructor(clickhouse: ClickHouse) {
    this.#clickhouse = clickhouse
  }

  /** Waits until ClickHouse answers and creates the database if it is missing; throws a StartupError. */
  static async connect(options: ClickHouseOptions): Promise<ClickHouseMigrationStore> {
    const server = await connectClickHouse({ ...options, database: 'default' })
    try {
      await createDatabase(server.client, options.database)
    } finally {
      await server.close()
    }
    return new ClickHouseMigrationStore(openClickHouse(options))
  }

  async applied(): Promise<readonly AppliedMigration[]> {
    const exists = await this.#rows<{ result: number }>('EXISTS TABLE ponix_migrations')
    if (exists[0]?.result !== 1) return []
    const rows = await this.#rows<{ name: string; checksum: string; millis: string }>(
      `SELECT name, checksum, toString(toUnixTimestamp64Milli(applied_at)) AS millis
      FROM ponix_migrations FINAL WHERE deleted = 0 ORDER BY name`,
    )
    return rows.map(({ name, checksum, millis }) => ({ name, checksum, appliedAt: new Date(Number(millis)) }))
  }

  async migrate(statements: readonly string[], change: MigrationChange): Promise<StatementFailure | undefined> {
    for (const [index, query] of statements.entries()) {
      try {
        await this.#clickhouse.client.command({ query, clickhouse_settings: { wait_end_of_query: 1 } })
      } catch (error) {
        if (!(error instanceof ClickHouseError)) throw error
        const message = `${error.message.trim()} (code ${error.code}, ${error.type ?? 'no name'})`
        return { index, line: lineOf(error), message: message.replaceAll(/\s+/g, ' ') }
      }
    }
    await this.#record(change)
    return undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#clickhouse.close()
  }

  async #record({ name, checksum }: MigrationChange): Promise<void> {
    const { client } = this.#clickhouse
    await client.command({ query: CREATE })
    await client.command({
      query: `INSERT INTO ponix_migrations
        SELECT {name:String}, {checksum:String}, now64(3, 'UTC'), toUnixTimestamp64Micro(now64(6)), {deleted:UInt8}`,
      query_params: { name, checksum: checksum ?? '', deleted: checksum === null ? 1 : 0 },
    })
  }

  async #rows<T>(query: string): Promise<T[]> {
    const result = await this.#clickhouse.client.query({ query, format: 'JSONEachRow' })
    return result.json<T>()
  }
}

/** Creates the database, except for a user without the right to create databases, who uses the existing database. */
async function createDatabase(client: ClickHouseClient, database: string): Promise<void> {
  try {
    await client.command({ query: 'CREATE DATABASE IF NOT EXISTS {database:Identifier}', query_params: { database } })
  } catch (error) {
    if (!(error instanceof ClickHouseError) || error.type !== 'ACCESS_DENIED') throw error
  }
}

/** Returns the line of a syntax error; ClickHouse reports it only after the first line: `(line 3, col 7)`. */
function lineOf(error: ClickHouseError): number {
  const line = /\(line (\d+), col \d+\)/.exec(error.message)?.[1]
  return line === undefined ? 0 : Number(line) - 1
}
