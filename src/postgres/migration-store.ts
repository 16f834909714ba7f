import { Client, DatabaseError } from 'pg'
import { StartupError } from '../domain/errors.ts'
import type { AppliedMigration, MigrationChange, MigrationStore, StatementFailure } from '../domain/ports.ts'
import type { Logger } from '../runner/logger.ts'
import { connectWithBackoff } from '../runner/startup.ts'
import { clientConfig, type PostgresOptions } from './database.ts'

/** Key of the advisory lock for the migrations of all databases. */
const LOCK = 8_027_224_821

const DIAL_TIMEOUT_MS = 5000
/** SQLSTATEs of a rejected user or password, for which retries are useless. */
const REFUSALS: ReadonlySet<string> = new Set(['28000', '28P01'])

const CREATE = `CREATE TABLE IF NOT EXISTS ponix_migrations (
  name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`

export class PostgresMigrationStore implements MigrationStore, AsyncDisposable {
  readonly #client: Client
  readonly #logger: Logger

  private constructor(client: Client, logger: Logger) {
    this.#client = client
    this.#logger = logger
  }

  /** Waits until PostgreSQL answers; throws a StartupError after the timeout. */
  static async connect(options: Omit<PostgresOptions, 'limits'>): Promise<PostgresMigrationStore> {
    const { host, port, database, startupTimeoutMs: timeoutMs, logger, signal } = options
    const target = { server: 'PostgreSQL', address: `${host}:${port}/${database}`, timeoutMs, logger, signal }
    return connectWithBackoff(target, async () => {
      const client = new Client({
        ...clientConfig(options),
        application_name: options.applicationName,
        connectionTimeoutMillis: DIAL_TIMEOUT_MS,
      })
      client.on('error', (error) => logger.debug({ error: error.message }, 'lost the connection to PostgreSQL'))
      await client.connect().catch((error: unknown) => {
        throw finalRefusal(error, target.address, options.username) ?? error
      })
      return new PostgresMigrationStore(client, logger)
    })
  }

  /** Runs the work under an advisory lock, across machines; PostgreSQL releases the lock when the holder's connection ends. */
  async withLock<T>(work: () => Promise<T>): Promise<T> {
    const { rows } = await this.#client.query<{ locked: boolean }>('SELECT pg_try_advisory_lock($1) AS locked', [LOCK])
    if (rows[0]?.locked !== true) {
      this.#logger.info('waiting for another migration to end')
      await this.#client.query('SELECT pg_advisory_lock($1)', [LOCK])
    }
    try {
      return await work()
    } finally {
      // A lost connection has released the lock already.
      await this.#client.query('SELECT pg_advisory_unlock($1)', [LOCK]).catch(() => {})
    }
  }

  async applied(): Promise<readonly AppliedMigration[]> {
    const found = await this.#client.query<{ exists: boolean }>(
      "SELECT to_regclass('ponix_migrations') IS NOT NULL AS exists",
    )
    if (found.rows[0]?.exists !== true) return []
    const { rows } = await this.#client.query<AppliedMigration>(
      'SELECT name, checksum, applied_at AS "appliedAt" FROM ponix_migrations ORDER BY name COLLATE "C"',
    )
    return rows
  }

  /** Runs the statements and records the change in one transaction. */
  async migrate(
    statements: readonly string[],
    { name, checksum }: MigrationChange,
  ): Promise<StatementFailure | undefined> {
    await this.#client.query('BEGIN')
    for (const [index, statement] of statements.entries()) {
      try {
        await this.#client.query(statement)
      } catch (error) {
        await this.#client.query('ROLLBACK').catch(() => {})
        if (!(error instanceof DatabaseError)) throw error
        return { index, line: lineOf(error, statement), message: messageOf(error) }
      }
    }
    await this.#client.query(CREATE)
    await (checksum === null
      ? this.#client.query('DELETE FROM ponix_migrations WHERE name = $1', [name])
      : this.#client.query('INSERT INTO ponix_migrations (name, checksum) VALUES ($1, $2)', [name, checksum]))
    await this.#client.query('COMMIT')
    return undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end()
  }
}

function finalRefusal(error: unknown, address: string, username: string): StartupError | undefined {
  if (!(error instanceof DatabaseError) || !REFUSALS.has(error.code ?? '')) return undefined
  return new StartupError(
    `PostgreSQL at ${address} rejects the user ${username}: ${error.message}; set PONIX_POSTGRES_USERNAME and PONIX_POSTGRES_PASSWORD`,
    { cause: error },
  )
}

/** Returns the line of an error; PostgreSQL reports the position in characters from 1. */
function lineOf(error: DatabaseError, statement: string): number {
  const position = Number(error.position ?? 1)
  return Array.from(statement)
    .slice(0, position - 1)
    .filter((character) => character === '\n').length
}

function messageOf(error: DatabaseError): string {
  const more = [error.detail, error.hint].filter((text) => text !== undefined && text !== '')
  return [error.message, ...more].join(' — ') + (error.code === undefined ? '' : ` (SQLSTATE ${error.code})`)
}
