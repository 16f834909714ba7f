import { Pool, types, type ClientConfig, type PoolClient, type QueryResultRow } from 'pg'
import { DomainError, messageOf } from '../domain/errors.ts'
import { clampInstant, type Instant } from '../domain/instant.ts'
import type { CallOptions } from '../domain/ports.ts'
import type { CommonEnvironment, PostgresEnvironment } from '../runner/environment.ts'
import type { Logger } from '../runner/logger.ts'
import { connectWithBackoff, withSignal, type ClientIdentity } from '../runner/startup.ts'
import { translateError, unavailable } from './errors.ts'
import { QueryCancellation } from './query-cancellation.ts'
import { parseTimestamp } from './replication/column-types.ts'

export interface PostgresServer {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly username: string
  readonly password: string
}

export interface PostgresOptions extends PostgresServer {
  /** Shown in pg_stat_activity. */
  readonly applicationName: string
  readonly startupTimeoutMs: number
  readonly logger: Logger
  readonly signal?: AbortSignal | undefined
  readonly limits?: Partial<PoolLimits>
}

export function postgresServer(environment: PostgresEnvironment): PostgresServer {
  return {
    host: environment.PONIX_POSTGRES_HOST,
    port: environment.PONIX_POSTGRES_PORT,
    database: environment.PONIX_POSTGRES_DATABASE,
    username: environment.PONIX_POSTGRES_USERNAME,
    password: environment.PONIX_POSTGRES_PASSWORD,
  }
}

export function postgresOptions(
  environment: CommonEnvironment & PostgresEnvironment,
  { name, ...client }: ClientIdentity,
): PostgresOptions {
  const startupTimeoutMs = environment.PONIX_STARTUP_TIMEOUT_MS
  return { ...postgresServer(environment), applicationName: name, startupTimeoutMs, ...client }
}

export function clientConfig({ host, port, database, username, password }: PostgresServer): ClientConfig {
  return { host, port, database, user: username, password }
}

export interface PoolLimits {
  /** The maximum size of the pool. Default 10. */
  readonly maxConnections: number
  /** The maximum number of calls that wait for a connection; further calls reject with `unavailable`. Default 1000. */
  readonly maxWaiting: number
  /** The maximum wait for a connection, including the time to open one. Default 3000. */
  readonly acquireTimeoutMs: number
  /** The time after which the server cancels a statement. Default 10,000. */
  readonly statementTimeoutMs: number
}

const DEFAULT_LIMITS: PoolLimits = {
  maxConnections: 10,
  maxWaiting: 1000,
  acquireTimeoutMs: 3000,
  statementTimeoutMs: 10_000,
}

/** A server that exceeds the statement timeout by this time is treated as unreachable. */
const UNREACHABLE_AFTER_MS = 2000
const TIMESTAMPTZ_OID = 1184

/** A prepared statement: parsed once per connection, identified by its name. */
export interface Statement {
  readonly name: string
  readonly text: string
}

export type Run = <R extends QueryResultRow>(statement: Statement, values: readonly unknown[]) => Promise<R[]>

/** Opens a pool and waits until PostgreSQL answers and has the tables. Throws a StartupError after `startupTimeoutMs`. */
export async function connectPostgres(options: PostgresOptions): Promise<PostgresDatabase> {
  const { host, port, database, startupTimeoutMs: timeoutMs, logger, signal } = options
  const postgres = new PostgresDatabase(options)
  const target = { server: 'PostgreSQL', address: `${host}:${port}/${database}`, timeoutMs, logger, signal }
  try {
    await connectWithBackoff(target, (attempt) => postgres.ping(attempt))
  } catch (error) {
    await postgres.close()
    throw error
  }
  return postgres
}

/** A pool of connections, opened on demand and replaced when lost. */
export class PostgresDatabase implements AsyncDisposable {
  readonly #pool: Pool
  readonly #limits: PoolLimits
  readonly #options: PostgresOptions
  #available = true
  #closing: Promise<void> | undefined

  constructor(options: PostgresOptions) {
    this.#options = options
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.#pool = new Pool({
      ...clientConfig(options),
      application_name: options.applicationName,
      max: this.#limits.maxConnections,
      connectionTimeoutMillis: this.#limits.acquireTimeoutMs,
      idleTimeoutMillis: 60_000,
      keepAlive: true,
      statement_timeout: this.#limits.statementTimeoutMs,
      idle_in_transaction_session_timeout: this.#limits.statementTimeoutMs,
      options: '-c datestyle=ISO -c timezone=UTC',
      types: { getTypeParser },
    })
    // Without a listener, the loss of an idle connection would end the process.
    this.#pool.on('error', (error) => this.#setUnavailable(error))
    this.#pool.on('connect', (client) => client.on('error', () => {}))
  }

  /** Runs one statement. Throws the signal's reason when it aborts; `unavailable` when PostgreSQL cannot serve. */
  async query<R extends QueryResultRow>(
    statement: Statement,
    values: readonly unknown[],
    options?: CallOptions,
  ): Promise<R[]> {
    return await this.#use(options?.signal, false, (client) => run<R>(client, statement, values))
  }

  /** Runs `work` in one transaction (read committed): committed when it resolves, rolled back when it rejects. */
  async transaction<T>(work: (run: Run) => Promise<T>, options?: CallOptions): Promise<T> {
    const signal = options?.signal
    return await this.#use(signal, true, async (client) => {
      await client.query('BEGIN')
      const result = await work((statement, values) => {
        signal?.throwIfAborted()
        return run(client, statement, values)
      })
      await client.query('COMMIT')
      return result
    })
  }

  /** Checks readiness: rejects unless PostgreSQL answers and has the tables. */
  async ping(signal?: AbortSignal): Promise<void> {
    const [row] = await this.query<{ complete: boolean }>(PING, [], { signal }).catch((error: unknown) => {
      // The message of an `unavailable` error is for clients of the API.
      throw error instanceof DomainError && error.cause instanceof Error ? error.cause : error
    })
    if (row?.complete !== true) throw new Error('the tables are missing: run ponix-migrate up')
  }

  /** Numbers of connections by state, and of calls that wait for a connection. */
  get usage(): { readonly total: number; readonly idle: number; readonly waiting: number } {
    return { total: this.#pool.totalCount, idle: this.#pool.idleCount, waiting: this.#pool.waitingCount }
  }

  /** Waits for running statements, then closes every connection. */
  close(): Promise<void> {
    this.#closing ??= this.#pool.end()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #use<T>(
    signal: AbortSignal | undefined,
    inTransaction: boolean,
    work: (client: PoolClient) => Promise<T>,
  ): Promise<T> {
    const client = await this.#acquire(signal)
    const { host, port } = this.#options
    const timeoutMs = this.#limits.statementTimeoutMs + UNREACHABLE_AFTER_MS
    const cancellation = new QueryCancellation({ client, host, port, signal, timeoutMs })
    let reusable = true
    try {
      return await work(client)
    } catch (error) {
      // After a cancellation only closing the connection guarantees the rollback.
      if (inTransaction) reusable = cancellation.reason === undefined && (await rollBack(client))
      throw cancellation.reason ?? translateError(error)
    } finally {
      await cancellation.finish()
      client.release(cancellation.connectionClosed || !reusable)
    }
  }

  async #acquire(signal: AbortSignal | undefined): Promise<PoolClient> {
    signal?.throwIfAborted()
    if (this.#pool.waitingCount >= this.#limits.maxWaiting) {
      throw unavailable(undefined, 'The database is busy: too many calls wait for a connection; try again')
    }
    const connecting = this.#pool.connect()
    try {
      const client = await (signal === undefined ? connecting : withSignal(signal, connecting))
      if (!this.#available) this.#options.logger.info('PostgreSQL is available again')
      this.#available = true
      return client
    } catch (error) {
      if (signal?.aborted === true) {
        // A connection that opens later returns to the pool.
        connecting.then(
          (client) => client.release(),
          () => {},
        )
        throw signal.reason
      }
      this.#setUnavailable(error)
      throw unavailable(error)
    }
  }

  #setUnavailable(error: unknown): void {
    if (this.#available) this.#options.logger.warn(`PostgreSQL is unavailable: ${messageOf(error)}`)
    this.#available = false
  }
}

const PING: Statement = {
  name: 'ping',
  text: `SELECT to_regclass('organizations') IS NOT NULL AND to_regclass('end_devices') IS NOT NULL
    AND to_regclass('gateways') IS NOT NULL AND to_regclass('end_device_last_seen') IS NOT NULL
    AND to_regclass('gateway_connections') IS NOT NULL AND to_regclass('gateways_overlaps') IS NOT NULL
    AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('end_device_last_seen') AND attname = 'last_heard_at')
    AS complete`,
}

async function run<R extends QueryResultRow>(
  client: PoolClient,
  statement: Statement,
  values: readonly unknown[],
): Promise<R[]> {
  const result = await client.query<R>({ name: statement.name, text: statement.text, values: [...values] })
  return result.rows
}

async function rollBack(client: PoolClient): Promise<boolean> {
  try {
    await client.query('ROLLBACK')
    return true
  } catch {
    return false
  }
}

/** Replaces pg's parser of timestamptz, whose Date loses the microseconds. */
const getTypeParser: typeof types.getTypeParser = (oid: number, format?: 'text' | 'binary') =>
  oid === TIMESTAMPTZ_OID && format !== 'binary' ? parseTimestamptz : types.getTypeParser(oid, format)

/** Parses a timestamptz in ISO style with all its microseconds; clamps to the years 1 to 9999. */
export function parseTimestamptz(text: string): Instant {
  return clampInstant(parseTimestamp(text))
}
