import { JetStreamApiCodes, JetStreamApiError } from '@nats-io/jetstream'

/** The answer of JetStream's API that this error is, as its `err_code`; undefined for any other error. */
export function apiErrorCode(error: unknown): number | undefined {
  return error instanceof JetStreamApiError ? error.code : undefined
}

export function isStreamNotFound(error: unknown): boolean {
  return apiErrorCode(error) === JetStreamApiCodes.StreamNotFound
}

export function isConsumerNotFound(error: unknown): boolean {
  return apiErrorCode(error) === JetStreamApiCodes.ConsumerNotFound
}
