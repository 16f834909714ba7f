import type { CodecKind } from './codec.ts'
import type { JsonObject, JsonValue, Uplink } from '../entities.ts'
import type { Instant } from '../instant.ts'

/** The codec that devices of one model share. On deletion, its row is deleted. */
export interface DeviceProfile {
  readonly profileId: string
  /** The owner; empty for a profile that all organizations share. */
  readonly organizationId: string
  readonly name: string
  readonly codecKind: CodecKind
  readonly codecSource: string
  /** Empty in lists. */
  readonly samples: readonly ProfileSample[]
  readonly fields: readonly ProfileField[]
  readonly createdAt: Instant
  readonly updatedAt: Instant
}

/** A payload with its expected result, as JSON. */
export interface ProfileSample extends Uplink {
  readonly name: string
  /** Hexadecimal. */
  readonly payload: string
  /** RFC 3339. */
  readonly receivedAt?: string
  /** Absent: any result but an error. */
  readonly expected?: ProfileExpectation
}

export type ProfileExpectation =
  | { readonly data: JsonObject }
  /** The list that the codec returns. */
  | { readonly readings: readonly JsonValue[] }
  /** A part of the reason. */
  | { readonly error: string }

/** The meaning of a field of the readings. */
export interface ProfileField {
  /** With dots: `battery.voltage`. */
  readonly path: string
  readonly unit: string
  readonly name: string
}
