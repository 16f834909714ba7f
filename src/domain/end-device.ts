import type { Instant } from './instant.ts'

/** A device that sends payloads. Deleted for real: a device has no `deletedAt`. */
export interface EndDevice {
  readonly deviceId: string
  readonly organizationId: string
  readonly name: string
  /** CEL source that turns the payload (`input`, bytes) into a map; empty while the device has none. */
  readonly payloadConversion: string
  readonly createdAt: Instant
  readonly updatedAt: Instant
  /** When the newest payload that could be converted was received; null before the first, and where it is not asked for. */
  readonly lastSeenAt: Instant | null
}
