import { clampInstant, type Instant } from '../domain/instant.ts'
import { parseTimestamp } from './replication/timestamp-text.ts'

/** The Instant of a timestamptz in ISO style, with all its microseconds; outside the years 1 to 9999 the nearest one inside. */
export function parseTimestamptz(text: string): Instant {
  return clampInstant(parseTimestamp(text))
}
