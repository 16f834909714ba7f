import type { Instant } from './instant.ts'

/** What is known of the payloads of a device; times are those of receipt. */
export interface DeviceActivity {
  /** The time of the newest payload, whatever became of it. */
  readonly heardAt: Instant
  /** The time of the newest payload that was decoded. */
  readonly seenAt: Instant | null
  /** The newest payload that failed. */
  readonly failure: DeviceFailure | null
}

export interface DeviceFailure {
  readonly at: Instant
  readonly reason: string
}

/** Returns what is known after both. */
export function mergedActivity(one: DeviceActivity, other: DeviceActivity): DeviceActivity {
  return {
    heardAt: later(one.heardAt, other.heardAt),
    seenAt:
      one.seenAt === null || other.seenAt === null ? (one.seenAt ?? other.seenAt) : later(one.seenAt, other.seenAt),
    failure: laterFailure(one.failure, other.failure),
  }
}

function later(one: Instant, other: Instant): Instant {
  return one > other ? one : other
}

/** Of two failures of one time, the second is the newer one. */
function laterFailure(one: DeviceFailure | null, other: DeviceFailure | null): DeviceFailure | null {
  if (one === null || other === null) return one ?? other
  return one.at > other.at ? one : other
}
