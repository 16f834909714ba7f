import type { Instant } from './instant.ts'

export type GatewayStatus = 'active' | 'error' | 'pending'

/** What JSON can say; the values of `gateway_config` and of processed envelopes. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject
export interface JsonObject {
  readonly [key: string]: JsonValue
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Array.isArray does not narrow a readonly array. */
export function isJsonList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value)
}

/** Brings the messages of end devices. Deleted softly: `deletedAt` set, the row stays. */
export interface Gateway {
  readonly gatewayId: string
  readonly organizationId: string
  readonly name: string
  /** Chooses the runner; compared without regard to case (`emqx`, `EMQX` and `mqtt` are the MQTT runner). */
  readonly gatewayType: string
  readonly gatewayConfig: JsonObject
  readonly status: GatewayStatus
  readonly createdAt: Instant
  readonly updatedAt: Instant
  readonly deletedAt: Instant | null
}

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

export type OrganizationStatus = 'pending' | 'active' | 'inactive'

/** Owns end devices and gateways. Deleted softly: `deletedAt` set, the row stays. */
export interface Organization {
  readonly id: string
  readonly name: string
  readonly status: OrganizationStatus
  readonly createdAt: Instant
  readonly updatedAt: Instant
  readonly deletedAt: Instant | null
}

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
