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

/** Variables that others set for instances of which there can be several: this project's supervisor, and Kubernetes. */
const SEVERAL_INSTANCES = ['PONIX_REPLICA', 'KUBERNETES_SERVICE_HOST'] as const

/** Returns whether leases distribute the gateways over instances. */
export function usesLeases(env: GatewayOrchestratorEnvironment): boolean {
  const { PONIX_GATEWAY_ORCHESTRATOR_LEASES: leases } = env
  return leases === undefined ? SEVERAL_INSTANCES.some((name) => env[name] !== undefined) : leases === 'on'
}

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
  /** Whether several instances share the gateways. Not set: on as a replica of the supervisor and in Kubernetes. */
  PONIX_GATEWAY_ORCHESTRATOR_LEASES: z.enum(['on', 'off'], { error: 'expected on or off' }).optional(),
  /** Parts of the set of gateways, each of which one instance runs. */
  PONIX_GATEWAY_ORCHESTRATOR_SHARDS: integer(1, 4096).prefault('64'),
  /** Time in which the gateways of an instance that died run elsewhere. */
  PONIX_GATEWAY_ORCHESTRATOR_LEASE_SECS: seconds(1, 3600).prefault('10'),
  /** The bytes of MQTT messages that are received and not stored, over all connections. */
  PONIX_GATEWAY_ORCHESTRATOR_MAX_IN_FLIGHT_BYTES: integer(1_000_000, 1e12).prefault('134217728'),
  PONIX_REPLICA: z.string().optional(),
  KUBERNETES_SERVICE_HOST: z.string().optional(),
})

export type GatewayOrchestratorEnvironment = Environment<typeof environment>
