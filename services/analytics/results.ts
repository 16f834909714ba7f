import type { MessageFailure, MessageResult } from '../../src/nats/delivery.ts'
import { analyticsMetrics } from './metrics.ts'
import type { FailureCause } from './raw-envelope-processor.ts'

export const ACK: MessageResult = { kind: 'ack' }

/** Counts a failure, of several envelopes if it is that of their bundle. */
export function failed(failure: MessageFailure & { readonly cause: FailureCause }, envelopes = 1): MessageFailure {
  analyticsMetrics.failed.inc({ cause: failure.cause, outcome: failure.kind }, envelopes)
  return failure
}
