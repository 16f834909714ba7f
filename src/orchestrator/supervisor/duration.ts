const units = [
  { name: 'd', ms: 86_400_000 },
  { name: 'h', ms: 3_600_000 },
  { name: 'min', ms: 60_000 },
  { name: 's', ms: 1000 },
] as const

/** Formats a duration with at most two units: `230 ms`, `3.2 s`, `2 min 5 s`, `3 d 4 h`. */
export function formatDuration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${Number((ms / 1000).toFixed(1))} s`
  const seconds = Math.round(ms / 1000) * 1000
  const index = units.findIndex((unit) => seconds >= unit.ms)
  const [first, second] = units.slice(index, index + 2)
  if (first === undefined || second === undefined) return `${seconds / 1000} s`
  const rest = Math.floor((seconds % first.ms) / second.ms)
  return `${Math.floor(seconds / first.ms)} ${first.name}${rest === 0 ? '' : ` ${rest} ${second.name}`}`
}
