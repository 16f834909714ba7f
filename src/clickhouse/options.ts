import type { ClientIdentity } from '../runner/client-identity.ts'
import type { ClickHouseEnvironment, CommonEnvironment } from '../runner/environment-fragments.ts'
import type { ClickHouseOptions } from './connection.ts'

/** How a service reaches ClickHouse, as its environment says. */
export function clickhouseOptions(
  environment: CommonEnvironment & ClickHouseEnvironment,
  { name, ...client }: ClientIdentity,
): ClickHouseOptions {
  return {
    url: environment.PONIX_CLICKHOUSE_URL,
    database: environment.PONIX_CLICKHOUSE_DATABASE,
    username: environment.PONIX_CLICKHOUSE_USERNAME,
    password: environment.PONIX_CLICKHOUSE_PASSWORD,
    application: name,
    startupTimeoutMs: environment.PONIX_STARTUP_TIMEOUT_SECS,
    ...client,
  }
}
