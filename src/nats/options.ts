import type { ClientIdentity } from '../runner/client-identity.ts'
import type { CommonEnvironment, NatsEnvironment } from '../runner/environment-fragments.ts'
import type { NatsOptions } from './connection.ts'
import { streamDefinitions, type StreamDefinition } from './streams.ts'

/** How a service reaches NATS, as its environment says. */
export function natsOptions(environment: CommonEnvironment & NatsEnvironment, client: ClientIdentity): NatsOptions {
  return { url: environment.PONIX_NATS_URL, startupTimeoutMs: environment.PONIX_STARTUP_TIMEOUT_SECS, ...client }
}

/** The streams of W-1 with the names and limits of the environment. */
export function streamsOf(environment: NatsEnvironment): readonly StreamDefinition[] {
  return streamDefinitions({
    rawStream: environment.PONIX_NATS_RAW_STREAM,
    processedStream: environment.PONIX_PROCESSED_ENVELOPES_STREAM,
    gatewayStream: environment.PONIX_NATS_GATEWAY_STREAM,
    maxAgeMs: environment.PONIX_NATS_STREAM_MAX_AGE_SECS,
    maxBytes: environment.PONIX_NATS_STREAM_MAX_BYTES,
    duplicateWindowMs: environment.PONIX_NATS_DUPLICATE_WINDOW_SECS,
  })
}
