/**
 * A point in time in microseconds since 1970-01-01T00:00:00Z: PostgreSQL's timestamptz and ClickHouse's DateTime64(6) have
 * microseconds, which JavaScript's Date lacks.
 */
export type Instant = bigint

/** Returns the current time with the precision of the system clock (milliseconds). */
export function now(): Instant {
  return BigInt(Date.now()) * 1000n
}

/** Formats as RFC 3339 in UTC with six digits of fraction: `2026-01-02T03:04:05.000006Z`. */
export function toRfc3339(instant: Instant): string {
  const rest = Number(instant % 1000n)
  const micros = rest < 0 ? rest + 1000 : rest
  const millis = Number(instant / 1000n) - (rest < 0 ? 1 : 0)
  return `${new Date(millis).toISOString().slice(0, -1)}${String(micros).padStart(3, '0')}Z`
}

/** 0001-01-01T00:00:00Z and the last microsecond of 9999: the range of RFC 3339 and google.protobuf.Timestamp. */
const FIRST: Instant = -62_135_596_800_000_000n
const LAST: Instant = 253_402_300_799_999_999n

/** Returns the nearest instant in the years 1 to 9999; PostgreSQL also has earlier and later instants, and infinity. */
export function clampInstant(instant: Instant): Instant {
  if (instant < FIRST) return FIRST
  return instant > LAST ? LAST : instant
}

/** The years that the table of processed envelopes can store (ClickHouse's DateTime64(6)), and their limits. */
export const STORABLE_YEARS = '1900 to 2299'
const FIRST_STORABLE: Instant = BigInt(Date.UTC(1900, 0, 1)) * 1000n
const END_OF_STORABLE: Instant = BigInt(Date.UTC(2300, 0, 1)) * 1000n

export function isStorable(instant: Instant): boolean {
  return instant >= FIRST_STORABLE && instant < END_OF_STORABLE
}

const RFC3339 = /^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))$/

/** Parses an RFC 3339 time, truncated to microseconds; null if it is invalid. */
export function fromRfc3339(text: string): Instant | null {
  const [, date, time, fraction = '', sign, hours = '0', minutes = '0'] = RFC3339.exec(text) ?? []
  if (date === undefined || time === undefined || Number(hours) > 23 || Number(minutes) > 59) return null
  const local = Date.parse(`${date}T${time}Z`)
  // JavaScript parses 31 February as 3 March.
  if (Number.isNaN(local) || !new Date(local).toISOString().startsWith(`${date}T${time}`)) return null
  const offset = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -60_000 : 60_000)
  return BigInt(local - offset) * 1000n + BigInt(fraction.padEnd(6, '0').slice(0, 6))
}
