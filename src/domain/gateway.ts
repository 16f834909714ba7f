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
