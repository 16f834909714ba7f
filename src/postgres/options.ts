import type { ClientIdentity } from '../runner/client-identity.ts'
import type { CommonEnvironment, PostgresEnvironment } from '../runner/environment-fragments.ts'
import type { PostgresOptions } from './database.ts'

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
    startupTimeoutMs: environment.PONIX_STARTUP_TIMEOUT_SECS,
    ...client,
  }
}
