import { z } from 'zod'
import {
  commonEnvironment,
  integer,
  natsEnvironment,
  natsName,
  postgresEnvironment,
  seconds,
  type Environment,
} from '../../src/runner/environment.ts'

export const environment = z.object({
  ...commonEnvironment,
  ...natsEnvironment,
  ...postgresEnvironment,
  PONIX_GATEWAY_CDC_CONSUMER_NAME: natsName().default('gateway-cdc-consumer'),
  /** Milliseconds between two prints of a gateway of type `print`. */
  PONIX_GATEWAY_ORCHESTRATOR_PRINT_INTERVAL_SECS: seconds(0.01, 86_400).prefault('5'),
  /** Milliseconds before a gateway that failed is tried again. */
  PONIX_GATEWAY_ORCHESTRATOR_RETRY_DELAY_SECS: seconds(0, 86_400).prefault('10'),
  /** Retries in a row before a gateway has failed. */
  PONIX_GATEWAY_ORCHESTRATOR_MAX_RETRY_ATTEMPTS: integer(0, 1_000_000).prefault('3'),
})

export type GatewayOrchestratorEnvironment = Environment<typeof environment>
