import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client, type QueryResultRow } from 'pg'
import { pino } from 'pino'
import type { PostgresOptions } from '../../../src/postgres/database.ts'
import { projectRoot } from '../program.ts'

export interface TestServer {
  readonly host: string
  readonly port: number
  readonly username: string
  readonly password: string
  readonly database: string
}

/** A new database with the tables of the platform; dropped on disposal. */
export class TestSchema implements AsyncDisposable {
  /** The options of a pool for this database. */
  readonly options: PostgresOptions
  readonly #server: TestServer

  private constructor(server: TestServer, database: string) {
    this.#server = server
    this.options = {
      ...server,
      database,
      applicationName: database,
      startupTimeoutMs: 10_000,
      logger: pino({ level: 'silent' }),
    }
  }

  static async create(server: TestServer): Promise<TestSchema> {
    const name = `schema_${randomBytes(6).toString('hex')}`
    await withClient(server, (client) => client.query(`CREATE DATABASE ${name}`))
    const schema = new TestSchema(server, name)
    await schema.sql((await migrations()).join('\n'))
    return schema
  }

  /** Runs SQL on a new connection. */
  async sql<R extends QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<R[]> {
    return await withClient(this.options, async (client) => {
      const result = await client.query<R>(text, values.length === 0 ? undefined : [...values])
      return result.rows
    })
  }

  /** Runs `work` in a transaction and commits it. */
  async transaction<T>(work: (client: Client) => Promise<T>): Promise<T> {
    return await withClient(this.options, async (client) => {
      await client.query('BEGIN')
      const result = await work(client)
      await client.query('COMMIT')
      return result
    })
  }

  /** Returns the number of connections to this database that wait for a lock. */
  async waitingForLocks(): Promise<number> {
    const rows = await this.sql(
      "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    return rows.length
  }

  /** Returns the statements that the pools' connections are running. */
  async running(): Promise<string[]> {
    const rows = await this.sql<{ query: string }>(
      "SELECT query FROM pg_stat_activity WHERE application_name = $1 AND state = 'active'",
      [this.options.applicationName],
    )
    return rows.map((row) => row.query)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await withClient(this.#server, (client) => dropDatabase(client, this.options.database))
  }
}

/** Returns the up parts of all migrations, in order. */
export async function migrations(): Promise<string[]> {
  const folder = join(projectRoot, 'migrations/postgres')
  const names = (await readdir(folder)).sort()
  const files = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
  return files.map((file) => file.slice(0, file.indexOf('-- migrate:down')))
}

/** Drops a database and ends its connections. */
export async function dropDatabase(client: Pick<Client, 'query'>, name: string): Promise<void> {
  const drop = `DROP DATABASE ${name}`
  // FORCE is rejected while an autovacuum worker is in the database; without it, PostgreSQL ends that worker.
  await client.query(`${drop} WITH (FORCE)`).catch(() => client.query(drop))
}

/** Runs `use` with a connection and closes it. */
export async function withClient<T>(server: TestServer, use: (client: Client) => Promise<T>): Promise<T> {
  const { host, port, username, password, database } = server
  const client = new Client({ host, port, user: username, password, database })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}
