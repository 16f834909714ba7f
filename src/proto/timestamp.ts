import { create } from '@bufbuild/protobuf'
import { TimestampSchema, type Timestamp } from '@bufbuild/protobuf/wkt'
import { clampInstant, type Instant } from '../domain/instant.ts'
import { MappingError } from '../domain/errors.ts'

const MICROS_PER_SECOND = 1_000_000n

/** The two fields of a Timestamp. Exact within its range, the years 1 to 9999; beyond it the nearest end. */
export function splitInstant(instant: Instant): { readonly seconds: bigint; readonly nanos: number } {
  const clamped = clampInstant(instant)
  const micros = ((clamped % MICROS_PER_SECOND) + MICROS_PER_SECOND) % MICROS_PER_SECOND
  return { seconds: (clamped - micros) / MICROS_PER_SECOND, nanos: Number(micros) * 1000 }
}

export function timestampFromInstant(instant: Instant): Timestamp {
  return create(TimestampSchema, splitInstant(instant))
}

/** Nanoseconds below a microsecond are cut off, towards the past. */
export function instantFromTimestamp(timestamp: Timestamp): Instant {
  return timestamp.seconds * MICROS_PER_SECOND + BigInt(Math.floor(timestamp.nanos / 1000))
}

/** The Instant of a field that must be there; otherwise a MappingError that names it. */
export function requiredInstant(field: string, timestamp: Timestamp | undefined): Instant {
  if (timestamp === undefined) throw new MappingError(`${field} is missing`)
  return instantFromTimestamp(timestamp)
}

/** The Instant of a field whose absence means "never". */
export function optionalInstant(timestamp: Timestamp | undefined): Instant | null {
  return timestamp === undefined ? null : instantFromTimestamp(timestamp)
}
