import { Pool, types, type PoolClient, type QueryResultRow } from 'pg'
import { messageOf } from '../domain/errors.ts'
import { clampInstant, type Instant } from '../domain/instant.ts'
import type { CallOptions } from '../domain/ports.ts'
import type { ClientIdentity } from '../runner/startup.ts'
import type { CommonEnvironment, PostgresEnvironment } from '../runner/environment.ts'
import type { Logger } from '../runner/logger.ts'
import { connectWithBackoff } from '../runner/startup.ts'
import { translateError, unavailable } from './errors.ts'
import { Interruption } from './query-cancellation.ts'
import { parseTimestamp } from './replication/column-types.ts'

export interface PostgresOptions {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly username: string
  readonly password: string
  /** Seen in pg_stat_activity. */
  readonly applicationName: string
  readonly startupTimeoutMs: number
  readonly logger: Logger
  readonly signal?: AbortSignal | undefined
  readonly limits?: Partial<PoolLimits>
}

export interface PoolLimits {
  /** Default 10. */
  readonly maxConnections: number
  /** Calls that may wait for a connection; one more is `unavailable` at once. Default 1000. */
  readonly maxWaiting: number
  /** How long a call waits for a connection, a new one included. Default 3000. */
  readonly acquireTimeoutMs: number
  /** How long a statement may take; the server ends it. Default 10,000. */
  readonly statementTimeoutMs: number
}

const DEFAULT_LIMITS: PoolLimits = {
  maxConnections: 10,
  maxWaiting: 1000,
  acquireTimeoutMs: 3000,
  statementTimeoutMs: 10_000,
}

/** Beyond the server's own limit: a server that does not even end the statement is given up. */
const SILENCE_MS = 2000
const TIMESTAMPTZ_OID = 1184

/** A prepared statement: parsed once per connection, known there by its name. */
export interface Statement {
  readonly name: string
  readonly text: string
}

/** Runs statements of one transaction. */
export type Run = <R extends QueryResultRow>(statement: Statement, values: readonly unknown[]) => Promise<R[]>

/** Opens a pool, and waits until PostgreSQL answers and has our tables; throws a StartupError when it does not in time. */
export async function connectPostgres(options: PostgresOptions): Promise<PostgresDatabase> {
  const { host, port, database, startupTimeoutMs, logger, signal } = options
  const postgres = new PostgresDatabase(options)
  const target = {
    server: 'PostgreSQL',
    address: `${host}:${port}/${database}`,
    timeoutMs: startupTimeoutMs,
    logger,
    signal,
  }
  try {
    await connectWithBackoff(target, (attempt) => postgres.ping(attempt))
  } catch (error) {
    await postgres.close()
    throw error
  }
  return postgres
}

/** A pool of connections, made when needed and replaced when lost. */
export class PostgresDatabase implements AsyncDisposable {
  readonly #pool: Pool
  readonly #limits: PoolLimits
  readonly #options: PostgresOptions
  #answers = true
  #closing: Promise<void> | undefined

  constructor(options: PostgresOptions) {
    this.#options = options
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.#pool = new Pool({
      host: options.host,
      port: options.port,
      database: options.database,
      user: options.username,
      password: options.password,
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
    // Without a listener a connection that is lost while nobody waits for an answer would end the process.
    this.#pool.on('error', (error) => this.#noteFailure(error))
    this.#pool.on('connect', (client) => client.on('error', () => {}))
  }

  /** Runs one statement. Throws the signal's reason when it aborts; `unavailable` when PostgreSQL does not serve. */
  async query<R extends QueryResultRow>(
    statement: Statement,
    values: readonly unknown[],
    options?: CallOptions,
  ): Promise<R[]> {
    const client = await this.#acquire(options?.signal)
    const interruption = this.#interruption(client, options?.signal)
    try {
      return await run<R>(client, statement, values)
    } catch (error) {
      throw this.#translate(error, interruption)
    } finally {
      await interruption.over()
      client.release(interruption.lost)
    }
  }

  /** Runs `work` in one transaction (read committed): committed when it resolves, rolled back when it rejects. */
  async transaction<T>(work: (run: Run) => Promise<T>, options?: CallOptions): Promise<T> {
    const client = await this.#acquire(options?.signal)
    const interruption = this.#interruption(client, options?.signal)
    let usable = true
    try {
      await client.query('BEGIN')
      const result = await work((statement, values) => {
        options?.signal?.throwIfAborted()
        return run(client, statement, values)
      })
      await client.query('COMMIT')
      return result
    } catch (error) {
      // After an interruption only closing the connection is sure to roll back.
      usable = interruption.reason === undefined && (await rolledBack(client))
      throw this.#translate(error, interruption)
    } finally {
      await interruption.over()
      client.release(interruption.lost || !usable)
    }
  }

  /** Rejects, with what to do, unless PostgreSQL answers and has our tables: a readiness check. */
  async ping(signal?: AbortSignal): Promise<void> {
    const [row] = await this.query<{ complete: boolean }>(PING, [], { signal })
    if (row?.complete !== true) throw new Error('the tables are missing: run ponix-migrate up')
  }

  /** Connections by what they do, and calls that wait for one. */
  get usage(): { readonly total: number; readonly idle: number; readonly waiting: number } {
    return { total: this.#pool.totalCount, idle: this.#pool.idleCount, waiting: this.#pool.waitingCount }
  }

  /** Waits for the statements that run, then closes every connection. */
  close(): Promise<void> {
    this.#closing ??= this.#pool.end()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #acquire(signal: AbortSignal | undefined): Promise<PoolClient> {
    signal?.throwIfAborted()
    if (this.#pool.waitingCount >= this.#limits.maxWaiting) {
      throw unavailable(undefined, 'The database is busy: too many calls wait for a connection; try again')
    }
    const connecting = this.#pool.connect()
    try {
      const client = await (signal === undefined ? connecting : untilAborted(connecting, signal))
      this.#noteSuccess()
      return client
    } catch (error) {
      if (signal?.aborted === true) throw signal.reason
      this.#noteFailure(error)
      throw unavailable(error)
    }
  }

  #interruption(client: PoolClient, signal: AbortSignal | undefined): Interruption {
    const { host, port } = this.#options
    return new Interruption({
      client,
      host,
      port,
      signal,
      timeoutMs: this.#limits.statementTimeoutMs + SILENCE_MS,
    })
  }

  #translate(error: unknown, interruption: Interruption): unknown {
    if (interruption.reason !== undefined) return interruption.reason
    return translateError(error)
  }

  #noteFailure(error: unknown): void {
    if (!this.#answers) return
    this.#answers = false
    this.#options.logger.warn(`PostgreSQL does not answer: ${messageOf(error)}`)
  }

  #noteSuccess(): void {
    if (this.#answers) return
    this.#answers = true
    this.#options.logger.info('PostgreSQL answers again')
  }
}

const PING: Statement = {
  name: 'ping',
  text: `SELECT to_regclass('organizations') IS NOT NULL AND to_regclass('end_devices') IS NOT NULL
    AND to_regclass('gateways') IS NOT NULL AND to_regclass('end_device_last_seen') IS NOT NULL AS complete`,
}

async function run<R extends QueryResultRow>(
  client: PoolClient,
  statement: Statement,
  values: readonly unknown[],
): Promise<R[]> {
  const result = await client.query<R>({ name: statement.name, text: statement.text, values: [...values] })
  return result.rows
}

async function rolledBack(client: PoolClient): Promise<boolean> {
  try {
    await client.query('ROLLBACK')
    return true
  } catch {
    return false
  }
}

/** pg's own parser would make a Date of a timestamptz and lose its microseconds. */
const getTypeParser: typeof types.getTypeParser = (oid: number, format?: 'text' | 'binary') =>
  oid === TIMESTAMPTZ_OID && format !== 'binary' ? parseTimestamptz : types.getTypeParser(oid, format)

/** A connection that comes after the caller has gone returns to the pool. */
function untilAborted(connecting: Promise<PoolClient>, signal: AbortSignal): Promise<PoolClient> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(signal.reason)
      connecting.then(
        (client) => client.release(),
        () => {},
      )
    }
    signal.addEventListener('abort', onAbort, { once: true })
    const settle = (): void => signal.removeEventListener('abort', onAbort)
    void connecting.then(resolve, reject).finally(settle)
  })
}

/** Where PostgreSQL is, and who a service is there, as its environment says. */
export function postgresServer(environment: PostgresEnvironment) {
  return {
    host: environment.PONIX_POSTGRES_HOST,
    port: environment.PONIX_POSTGRES_PORT,
    database: environment.PONIX_POSTGRES_DATABASE,
    username: environment.PONIX_POSTGRES_USERNAME,
    password: environment.PONIX_POSTGRES_PASSWORD,
  }
}

/** How a service reaches PostgreSQL, as its environment says. */
export function postgresOptions(
  environment: CommonEnvironment & PostgresEnvironment,
  { name, ...client }: ClientIdentity,
): PostgresOptions {
  return {
    ...postgresServer(environment),
    applicationName: name,
    startupTimeoutMs: environment.PONIX_STARTUP_TIMEOUT_MS,
    ...client,
  }
}

/** The Instant of a timestamptz in ISO style, with all its microseconds; outside the years 1 to 9999 the nearest one inside. */
export function parseTimestamptz(text: string): Instant {
  return clampInstant(parseTimestamp(text))
}
