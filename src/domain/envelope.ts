import type { JsonObject } from './gateway.ts'
import type { Instant } from './instant.ts'

/** A device's bytes as a gateway received them. */
export interface RawEnvelope {
  readonly organizationId: string
  readonly endDeviceId: string
  readonly payload: Uint8Array
  readonly receivedAt: Instant
}

/** The JSON object that the device's CEL expression made of the bytes. */
export interface ProcessedEnvelope {
  readonly organizationId: string
  readonly endDeviceId: string
  /** The `receivedAt` of the raw envelope. */
  readonly occurredAt: Instant
  readonly processedAt: Instant
  readonly data: JsonObject
}
