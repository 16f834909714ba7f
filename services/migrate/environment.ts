import { z } from 'zod'
import {
  clickhouseEnvironment,
  commonEnvironment,
  natsEnvironment,
  postgresEnvironment,
  type Environment,
} from '../../src/runner/environment.ts'

/** What ponix-migrate reads from the environment. */
export const migrateEnvironment = z.object({
  ...commonEnvironment,
  ...postgresEnvironment,
  ...clickhouseEnvironment,
  ...natsEnvironment,
  /** Default: the package's own. */
  PONIX_POSTGRES_MIGRATIONS_DIR: z.string().optional(),
  PONIX_CLICKHOUSE_MIGRATIONS_DIR: z.string().optional(),
})

export type MigrateEnvironment = Environment<typeof migrateEnvironment>
