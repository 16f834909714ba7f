import { ClickHouseError, ClickHouseLogLevel, createClient, type ClickHouseClient } from '@clickhouse/client'
import { StartupError } from '../domain/errors.ts'
import type { ClientIdentity } from '../runner/startup.ts'
import type { ClickHouseEnvironment, CommonEnvironment } from '../runner/environment.ts'
import { connectWithBackoff } from '../runner/startup.ts'

export interface ClickHouseOptions extends ClientIdentity {
  /** `http://localhost:8123`. */
  readonly url: string
  /** The database, which must exist; ponix-migrate creates it. */
  readonly database: string
  readonly username: string
  readonly password: string
  readonly startupTimeoutMs: number
}

/** A pool of connections to ClickHouse's HTTP interface, opened on demand: ClickHouse can restart at any time. */
export interface ClickHouse {
  readonly client: ClickHouseClient
  /** The address in messages, without the password: `localhost:8123/ponix`. */
  readonly address: string
  /** Checks readiness: rejects unless ClickHouse answers a query in the database. */
  ping(signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** Errors that a retry does not fix. */
const LOGIN_ERRORS: ReadonlySet<string> = new Set(['AUTHENTICATION_FAILED', 'REQUIRED_PASSWORD', 'WRONG_PASSWORD'])
const REQUEST_TIMEOUT_MS = 60_000

/** Returns the options of a service, from its environment. */
export function clickhouseOptions(
  environment: CommonEnvironment & ClickHouseEnvironment,
  client: ClientIdentity,
): ClickHouseOptions {
  return {
    url: environment.PONIX_CLICKHOUSE_URL,
    database: environment.PONIX_CLICKHOUSE_DATABASE,
    username: environment.PONIX_CLICKHOUSE_USERNAME,
    password: environment.PONIX_CLICKHOUSE_PASSWORD,
    startupTimeoutMs: environment.PONIX_STARTUP_TIMEOUT_MS,
    ...client,
  }
}

/** Waits until ClickHouse answers in the database; throws a StartupError on a timeout or wrong credentials. */
export async function connectClickHouse(options: ClickHouseOptions): Promise<ClickHouse> {
  const clickhouse = openClickHouse(options)
  const { startupTimeoutMs: timeoutMs, logger, signal } = options
  const target = { server: 'ClickHouse', address: clickhouse.address, timeoutMs, logger, signal }
  try {
    await connectWithBackoff(target, async (attempt) => {
      try {
        await clickhouse.ping(attempt)
      } catch (error) {
        if (!(error instanceof ClickHouseError) || !LOGIN_ERRORS.has(error.type ?? '')) throw error
        throw new StartupError(
          `ClickHouse at ${clickhouse.address}: wrong user or password for ${options.username}; set PONIX_CLICKHOUSE_USERNAME and PONIX_CLICKHOUSE_PASSWORD`,
          { cause: error },
        )
      }
    })
  } catch (error) {
    await clickhouse.close()
    throw error
  }
  return clickhouse
}

/** Creates a pool, which does not connect before the first call. */
export function openClickHouse(options: ClickHouseOptions): ClickHouse {
  const { url, username, password, database, name: application } = options
  const client = createClient({
    url,
    username,
    password,
    database,
    application,
    request_timeout: REQUEST_TIMEOUT_MS,
    clickhouse_settings: {
      // The default differs between servers; large numbers would lose digits in JSON.
      output_format_json_quote_64bit_integers: 1,
    },
    log: { level: ClickHouseLogLevel.OFF },
  })
  return {
    client,
    address: `${new URL(url).host}/${database}`,
    async ping(signal) {
      const result = await client.ping({ select: true, abort_signal: signal })
      if (!result.success) throw result.error
    },
    close: () => client.close(),
  }
}
