import type { Instant } from './instant.ts'

export type GatewayStatus = 'active' | 'error' | 'pending'

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject
export interface JsonObject {
  readonly [key: string]: JsonValue
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Returns whether a value is a list; Array.isArray does not narrow a readonly array. */
export function isJsonList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value)
}

/** Receives the messages of end devices. On deletion, `deletedAt` is set and the row stays. */
export interface Gateway {
  readonly gatewayId: string
  readonly organizationId: string
  readonly name: string
  /** Selects the runner, case-insensitively (`emqx`, `EMQX` and `mqtt` select the MQTT runner). */
  readonly gatewayType: string
  readonly gatewayConfig: JsonObject
  readonly status: GatewayStatus
  readonly createdAt: Instant
  readonly updatedAt: Instant
  readonly deletedAt: Instant | null
}

/** A device that sends payloads. On deletion, its row is deleted, so it has no `deletedAt`. */
export interface EndDevice {
  readonly deviceId: string
  readonly organizationId: string
  readonly name: string
  /** CEL expression that converts the payload (`input`, bytes) to a map; empty if there is none. Takes precedence over the profile. */
  readonly payloadConversion: string
  /** The normal form of its id in a network server, unique in its organization (see external-id.ts); empty if there is none. */
  readonly externalId: string
  /** A profile of the organization, or a shared one; empty if there is none. */
  readonly profileId: string
  readonly createdAt: Instant
  readonly updatedAt: Instant
  /** Receive time of the newest converted payload; null before the first payload, and if the query does not read it. */
  readonly lastSeenAt: Instant | null
  /** Receive time of the newest payload, whatever became of it; null or absent as `lastSeenAt`. */
  readonly lastHeardAt?: Instant | null
  /** The error of the newest payload that failed, unless a later one was decoded; null or absent if there is none. */
  readonly lastError?: string | null
  /** Receive time of that payload. */
  readonly lastErrorAt?: Instant | null
}

export type OrganizationStatus = 'pending' | 'active' | 'inactive'

/** Owns end devices and gateways. On deletion, `deletedAt` is set and the row stays. */
export interface Organization {
  readonly id: string
  readonly name: string
  readonly status: OrganizationStatus
  /** Processed envelopes that are older, in days, are deleted; 0 keeps them. */
  readonly retentionDays: number
  readonly createdAt: Instant
  readonly updatedAt: Instant
  readonly deletedAt: Instant | null
}

/** The properties of a LoRaWAN uplink besides its payload. A property that the network server does not send is absent. */
export interface Uplink {
  readonly fPort?: number
  /** The frame counter of the device. */
  readonly fCnt?: number
  /** Reception and settings, as the network server names them. */
  readonly metadata?: JsonObject
}

/** The bytes of a device as received by a gateway. */
export interface RawEnvelope {
  readonly organizationId: string
  readonly endDeviceId: string
  readonly payload: Uint8Array
  readonly receivedAt: Instant
  readonly uplink?: Uplink | undefined
}

/** A reading that the device's codec returned for the bytes. */
export interface ProcessedEnvelope {
  readonly organizationId: string
  readonly endDeviceId: string
  /** The time of the reading: the `receivedAt` of the raw envelope unless the codec returned another. */
  readonly occurredAt: Instant
  /** That of the raw envelope; absent if it is `occurredAt`. The table of processed envelopes does not store it. */
  readonly receivedAt?: Instant | undefined
  readonly processedAt: Instant
  readonly data: JsonObject
  /** What the codec warned of (see warnings.ts); absent if nothing. */
  readonly warnings?: readonly string[] | undefined
  /** The `uplink` of the raw envelope. */
  readonly uplink?: Uplink | undefined
}
