import { z } from 'zod'
import { streamDefinitions } from '../../src/nats/streams.ts'
import type { Logger } from '../../src/runner/logger.ts'
import {
  commonEnvironment,
  integer,
  natsEnvironment,
  natsName,
  postgresEnvironment,
  seconds,
} from '../../src/runner/environment-fragments.ts'

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

/** What the clients of this service are opened with. */
export function clientOptions(env: z.infer<typeof environment>, logger: Logger) {
  const startupTimeoutMs = env.PONIX_STARTUP_TIMEOUT_SECS
  const name = 'ponix-gateway-orchestrator'
  return {
    postgres: {
      host: env.PONIX_POSTGRES_HOST,
      port: env.PONIX_POSTGRES_PORT,
      database: env.PONIX_POSTGRES_DATABASE,
      username: env.PONIX_POSTGRES_USERNAME,
      password: env.PONIX_POSTGRES_PASSWORD,
      applicationName: name,
      startupTimeoutMs,
      logger,
    },
    streams: streamDefinitions({
      rawStream: env.PONIX_NATS_RAW_STREAM,
      processedStream: env.PONIX_PROCESSED_ENVELOPES_STREAM,
      gatewayStream: env.PONIX_NATS_GATEWAY_STREAM,
      maxAgeMs: env.PONIX_NATS_STREAM_MAX_AGE_SECS,
      maxBytes: env.PONIX_NATS_STREAM_MAX_BYTES,
      duplicateWindowMs: env.PONIX_NATS_DUPLICATE_WINDOW_SECS,
    }),
    nats: { url: env.PONIX_NATS_URL, name, startupTimeoutMs, logger },
    retry: {
      delayMs: env.PONIX_GATEWAY_ORCHESTRATOR_RETRY_DELAY_SECS,
      maxAttempts: env.PONIX_GATEWAY_ORCHESTRATOR_MAX_RETRY_ATTEMPTS,
    },
  }
}
