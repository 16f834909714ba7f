/** Foreground colours that are readable on light and dark grounds; red is left to errors. */
const COLOURS = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94] as const

/** The width that all prefixes of these names are padded to. */
export function prefixWidth(names: readonly string[]): number {
  return Math.max(0, ...names.map((name) => name.length)) + '[] '.length
}

/**
 * `[name] `, padded with spaces to `width`. With `colourIndex` the name has one of ten colours, the same for the same
 * index; null is plain.
 */
export function linePrefix(name: string, width: number, colourIndex: number | null): string {
  const label = `[${name}]`
  const padding = ' '.repeat(Math.max(1, width - label.length))
  if (colourIndex === null) return label + padding
  return `\u001b[${COLOURS[colourIndex % COLOURS.length] ?? 39}m${label}\u001b[39m${padding}`
}
