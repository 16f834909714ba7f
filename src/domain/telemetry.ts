import type { ProcessedEnvelope } from './envelope.ts'
import type { Instant } from './instant.ts'

/** Which envelopes of an organization are meant. */
export interface TelemetryFilter {
  readonly organizationId: string
  /** Null for all devices of the organization. */
  readonly endDeviceId: string | null
  /** Those that occurred at this time or later; null for no such limit. */
  readonly from: Instant | null
  /** Those that occurred before this time; null for no such limit. */
  readonly to: Instant | null
}

/** The place of an envelope among all of its organization's: newest first, then by device and identity, descending. */
export interface TelemetryCursor {
  readonly occurredAt: Instant
  readonly endDeviceId: string
  /** Tells envelopes of one device and one moment apart. */
  readonly identity: string
}

/** An envelope as a reader finds it. */
export interface StoredEnvelope {
  /** Its `data` has the fields that were asked for, as far as the envelope has them. */
  readonly envelope: ProcessedEnvelope
  readonly identity: string
}

export interface TelemetryQuery extends TelemetryFilter {
  /** Fields of `data` as {@link fieldPaths} gives them; none for all. */
  readonly fieldPaths: readonly string[]
}

export interface TelemetryRange {
  /** Only what comes after this place; null to begin with the newest. */
  readonly after: TelemetryCursor | null
  /** So many at most; null for all. */
  readonly limit: number | null
  /** Milliseconds after which the store gives up; null when the reader's pace decides how long it takes. */
  readonly timeoutMs: number | null
}

export function cursorOf({ envelope, identity }: StoredEnvelope): TelemetryCursor {
  return { occurredAt: envelope.occurredAt, endDeviceId: envelope.endDeviceId, identity }
}
