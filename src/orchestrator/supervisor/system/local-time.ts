/** Renders a time in milliseconds since 1970 as a local time in ISO 8601 with milliseconds and the offset of the time zone. */
export function localTime(time: number): string {
  const minutes = -new Date(time).getTimezoneOffset()
  const two = (number: number) => String(Math.abs(number)).padStart(2, '0')
  const offset = `${minutes < 0 ? '-' : '+'}${two(Math.trunc(minutes / 60))}:${two(minutes % 60)}`
  return new Date(time + minutes * 60_000).toISOString().replace('Z', offset)
}

/** Renders the local time of day with milliseconds, such as `08:30:00.123`. */
export function timeOfDay(time: number): string {
  return localTime(time).slice(11, 23)
}

/** Renders a local date and time in seconds, such as `2026-01-31 08:30:00`. */
export function dateAndTime(time: Date): string {
  return time.toLocaleString('sv')
}
