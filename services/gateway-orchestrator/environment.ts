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
  /** Interval between two log lines of a gateway of type `print`. */
  PONIX_GATEWAY_ORCHESTRATOR_PRINT_INTERVAL_SECS: seconds(0.01, 86_400).prefault('5'),
  /** Interval between two comparisons of the gateways with PostgreSQL. */
  PONIX_GATEWAY_ORCHESTRATOR_RESYNC_SECS: seconds(0.01, 86_400).prefault('300'),
  /** Delay before the first retry of a gateway that fails; doubled for each further retry, up to a minute. */
  PONIX_GATEWAY_ORCHESTRATOR_RETRY_DELAY_SECS: seconds(0, 86_400).prefault('10'),
  /** Consecutive retries after which a gateway is not retried any more. Not set: it is retried without end. */
  PONIX_GATEWAY_ORCHESTRATOR_MAX_RETRY_ATTEMPTS: integer(0, 1_000_000).optional(),
})

export type GatewayOrchestratorEnvironment = Environment<typeof environment>
