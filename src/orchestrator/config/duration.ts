/** Completes "expected …" in the message about a duration that does not parse. */
export const durationForm = 'a duration such as 90s, 10m, 1h30m or 2d'

/** Completes "expected …" in the message about a point in time that does not parse. */
export const timeForm = `${durationForm}, or a time such as 2026-01-31T08:30:00`

const units = [
  { name: 'd', ms: 86_400_000 },
  { name: 'h', ms: 3_600_000 },
  { name: 'm', ms: 60_000 },
  { name: 's', ms: 1000 },
  { name: 'ms', ms: 1 },
] as const

/** A number with each unit, from the largest to the smallest. */
const duration = new RegExp(`^${units.map(({ name }) => String.raw`(?:(\d{1,12}(?:\.\d{1,3})?)${name})?`).join('')}$`)

/** Parses `90s`, `1h30m`, `1.5h`, `2d` or `500ms` to milliseconds; null if invalid. A number without a unit is invalid. */
export function parseDuration(text: string): number | null {
  const match = duration.exec(text)
  if (match === null || text === '') return null
  return Math.round(units.reduce((sum, { ms }, index) => sum + Number(match[index + 1] ?? 0) * ms, 0))
}

const isoTime = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:\d\d)?)?$/

/**
 * Parses a duration before `now`, or an ISO 8601 time, to milliseconds since 1970; null if invalid. A time without an offset is
 * a local time, and a date without a time is the beginning of that day.
 */
export function parseTime(text: string, now: number): number | null {
  const before = parseDuration(text)
  if (before !== null) return now - before
  const [, date, time = '00:00', offset = ''] = isoTime.exec(text) ?? []
  const parsed = date === undefined ? Number.NaN : Date.parse(`${date}T${time}${offset}`)
  return Number.isNaN(parsed) ? null : parsed
}
