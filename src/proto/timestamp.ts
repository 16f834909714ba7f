import { create, fromBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf'
import { TimestampSchema, type Timestamp } from '@bufbuild/protobuf/wkt'
import { MappingError, messageOf } from '../domain/errors.ts'
import { clampInstant, type Instant } from '../domain/instant.ts'

const MICROS_PER_SECOND = 1_000_000n

/** Returns the fields of a Timestamp, clamped to its range, the years 1 to 9999. */
export function splitInstant(instant: Instant): { readonly seconds: bigint; readonly nanos: number } {
  const clamped = clampInstant(instant)
  const micros = ((clamped % MICROS_PER_SECOND) + MICROS_PER_SECOND) % MICROS_PER_SECOND
  return { seconds: (clamped - micros) / MICROS_PER_SECOND, nanos: Number(micros) * 1000 }
}

export function timestampFromInstant(instant: Instant): Timestamp {
  return create(TimestampSchema, splitInstant(instant))
}

export function optionalTimestamp(instant: Instant | null): Timestamp | undefined {
  return instant === null ? undefined : timestampFromInstant(instant)
}

/** Converts a Timestamp, rounded down to microseconds. */
export function instantFromTimestamp(timestamp: Timestamp): Instant {
  return timestamp.seconds * MICROS_PER_SECOND + BigInt(Math.floor(timestamp.nanos / 1000))
}

/** Converts a Timestamp; throws a MappingError naming the field if it is missing. */
export function requiredInstant(field: string, timestamp: Timestamp | undefined): Instant {
  if (timestamp === undefined) throw new MappingError(`${field} is missing`)
  return instantFromTimestamp(timestamp)
}

export function optionalInstant(timestamp: Timestamp | undefined): Instant | null {
  return timestamp === undefined ? null : instantFromTimestamp(timestamp)
}

/** Decodes a message. Throws a MappingError that names the expected type. */
export function decodeMessage<S extends DescMessage>(schema: S, bytes: Uint8Array): MessageShape<S> {
  try {
    return fromBinary(schema, bytes)
  } catch (error) {
    throw decodeError(schema, error)
  }
}

/** Returns the error for bytes that are not a message of the schema's type. */
export function decodeError(schema: DescMessage, cause: unknown): MappingError {
  return new MappingError(`not a ${schema.typeName}: ${messageOf(cause)}`, { cause })
}
