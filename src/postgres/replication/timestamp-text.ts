import type { Instant } from '../../domain/instant.ts'

/** `infinity`: later than every instant. The number PostgreSQL itself uses. */
export const INFINITE_FUTURE: Instant = 2n ** 63n - 1n
/** `-infinity`: earlier than every instant. */
export const INFINITE_PAST: Instant = -(2n ** 63n)

const PATTERN =
  /^(\d{4,})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?( BC)?$/

const ZERO = 0x30
/** `2026-01-02 03:04:05` and `+00` */
const SECONDS_LENGTH = 19
const UTC_LENGTH = 3
/** Beyond this many seconds microseconds do not fit a number exactly. */
const EXACT_SECONDS = 9_000_000_000

/**
 * The timestamptz in `buffer[start, end)`, as a server with DateStyle ISO writes it. The usual form, four digits of year in UTC,
 * is read from the bytes. Throws a RangeError for what is no timestamp.
 */
export function timestampAt(buffer: Buffer, start: number, end: number): Instant {
  const length = end - start
  const isUtc = buffer[end - 3] === 0x2b && buffer[end - 2] === ZERO && buffer[end - 1] === ZERO
  const isPlain = isUtc && buffer[start + 4] === 0x2d && buffer[start + 10] === 0x20
  if (!isPlain || (length !== SECONDS_LENGTH + UTC_LENGTH && buffer[start + SECONDS_LENGTH] !== 0x2e)) {
    return parseTimestamp(buffer.toString('latin1', start, end))
  }
  const day = daysFromCivil(
    pair(buffer, start) * 100 + pair(buffer, start + 2),
    pair(buffer, start + 5),
    pair(buffer, start + 8),
  )
  const time = pair(buffer, start + 11) * 3600 + pair(buffer, start + 14) * 60 + pair(buffer, start + 17)
  return microseconds(day * 86_400 + time, fraction(buffer, start + SECONDS_LENGTH + 1, end - UTC_LENGTH))
}

/** The Instant that PostgreSQL wrote: any year, zone, `BC`, `infinity`. Throws a RangeError for other text. */
export function parseTimestamp(text: string): Instant {
  if (text === 'infinity') return INFINITE_FUTURE
  if (text === '-infinity') return INFINITE_PAST
  const match = PATTERN.exec(text)
  if (match === null) throw new RangeError(`not a timestamp: ${JSON.stringify(text)}`)
  const [, year, month, day, hour, minute, second, micros = '', sign, zoneHour, zoneMinute, zoneSecond, era] = match
  const astronomicalYear = era === undefined ? Number(year) : 1 - Number(year)
  const days = daysFromCivil(astronomicalYear, Number(month), Number(day))
  const zone = Number(zoneHour) * 3600 + Number(zoneMinute ?? 0) * 60 + Number(zoneSecond ?? 0)
  const seconds = days * 86_400 + Number(hour) * 3600 + Number(minute) * 60 + Number(second)
  return microseconds(sign === '-' ? seconds + zone : seconds - zone, Number(micros.padEnd(6, '0')))
}

/** Days from 1970-01-01 in the proleptic Gregorian calendar; year 0 is 1 BC. */
function daysFromCivil(year: number, month: number, day: number): number {
  // The year starts in March, so that the leap day is its last.
  const shifted = month <= 2 ? year - 1 : year
  const era = Math.floor(shifted / 400)
  const yearOfEra = shifted - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

function microseconds(seconds: number, micros: number): Instant {
  if (Math.abs(seconds) < EXACT_SECONDS) return BigInt(seconds * 1_000_000 + micros)
  return BigInt(seconds) * 1_000_000n + BigInt(micros)
}

function pair(buffer: Buffer, at: number): number {
  return digit(buffer, at) * 10 + digit(buffer, at + 1)
}

function digit(buffer: Buffer, at: number): number {
  const value = (buffer[at] ?? 0) - ZERO
  if (value < 0 || value > 9) throw new RangeError(`not a timestamp: a digit was expected at byte ${at}`)
  return value
}

function fraction(buffer: Buffer, start: number, end: number): number {
  let value = 0
  for (let at = start; at < start + 6; at += 1) value = value * 10 + (at < end ? digit(buffer, at) : 0)
  return value
}
