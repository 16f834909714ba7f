import { lookup } from 'node:dns/promises'
import { z } from 'zod'
import { StartupError, messageOf } from '../../src/domain/errors.ts'
import { clickhouseEnvironment, commonEnvironment, integer, postgresEnvironment } from '../../src/runner/environment.ts'
import { isLoopbackAddress } from '../../src/runner/request-guard.ts'

export const apiEnvironment = z.object({
  ...commonEnvironment,
  ...postgresEnvironment,
  ...clickhouseEnvironment,
  /** Loopback only, because there is no authentication yet. */
  PONIX_GRPC_HOST: z.string().default('127.0.0.1'),
  /** 0 means any free port. */
  PONIX_GRPC_PORT: integer(0, 65_535).prefault('50051'),
  /** Port of /healthz, /readyz, /metrics and CSV; 0 means none. */
  PONIX_API_HTTP_PORT: integer(0, 65_535).prefault('0'),
  /** Limit of connections to PostgreSQL. */
  PONIX_API_POSTGRES_CONNECTIONS: integer(1, 1000).prefault('10'),
})

/** Throws a StartupError unless every address of the host is on loopback, because there is no authentication yet. */
export async function assertLoopback(host: string): Promise<void> {
  const addresses = await resolve(host)
  const open = addresses.find(({ address }) => !isLoopbackAddress(address))
  if (open === undefined) return
  const shown = open.address === host ? host : `${host} (${open.address})`
  throw new StartupError(
    `PONIX_GRPC_HOST=${shown} can be reached by other machines, and the api has no authentication yet: ` +
      'set it to 127.0.0.1 and use a proxy that authenticates',
  )
}

async function resolve(host: string): Promise<readonly { readonly address: string }[]> {
  try {
    return await lookup(host, { all: true })
  } catch (error) {
    throw new StartupError(`cannot resolve PONIX_GRPC_HOST=${host}: ${messageOf(error)}; set a loopback address`, {
      cause: error,
    })
  }
}
