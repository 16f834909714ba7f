import type { Verdict } from '../../src/nats/consumer.ts'
import { analyticsMetrics } from './metrics.ts'
import type { Failure } from './raw-envelope-processor.ts'

/** The broker's side of a failure; counts it. */
export function verdictOn({ kind, cause, reason }: Failure): Verdict {
  analyticsMetrics.failed.inc({ cause, outcome: kind })
  return { kind, reason }
}
