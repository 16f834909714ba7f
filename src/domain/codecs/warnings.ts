/** The limits of the warnings that are kept with a row. */
const MAX_WARNINGS = 32
const MAX_CHARACTERS = 500

/** Returns the warnings of a codec as they are kept: if there are too many, the last one is their number. Undefined if there are none. */
export function boundedWarnings(warnings: readonly string[] | undefined): readonly string[] | undefined {
  if (warnings === undefined || warnings.length === 0) return undefined
  if (warnings.length <= MAX_WARNINGS) return warnings.map(shortened)
  const kept = warnings.slice(0, MAX_WARNINGS - 1).map(shortened)
  return [...kept, `${warnings.length - kept.length} more warnings`]
}

function shortened(warning: string): string {
  return warning.length <= MAX_CHARACTERS ? warning : `${warning.slice(0, MAX_CHARACTERS - 1)}…`
}
