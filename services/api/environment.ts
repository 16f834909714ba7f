import { z } from 'zod'
import { clickhouseEnvironment, commonEnvironment, integer, postgresEnvironment } from '../../src/runner/environment.ts'

/** What the api reads from the environment. */
export const apiEnvironment = z.object({
  ...commonEnvironment,
  ...postgresEnvironment,
  ...clickhouseEnvironment,
  /** Only loopback as long as there is no authentication. */
  PONIX_GRPC_HOST: z.string().default('127.0.0.1'),
  /** 0 takes any free port. */
  PONIX_GRPC_PORT: integer(0, 65_535).prefault('50051'),
  /** /healthz, /readyz, /metrics and CSV; 0 serves none. */
  PONIX_API_HTTP_PORT: integer(0, 65_535).prefault('0'),
  /** Connections to PostgreSQL at most. */
  PONIX_API_POSTGRES_CONNECTIONS: integer(1, 1000).prefault('10'),
})
