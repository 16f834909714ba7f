const ELLIPSIS = '…'

/**
 * Returns a label of at most `limit` characters for each name. Names that fit are their own labels; in the others "…" replaces a
 * part in the middle, chosen so that all labels differ.
 */
export function shortNames(names: readonly string[], limit: number): ReadonlyMap<string, string> {
  const labels = new Map(names.filter((name) => name.length <= limit).map((name) => [name, name]))
  const taken = new Set(labels.values())
  for (const name of names) {
    if (labels.has(name)) continue
    const label = candidates(name, limit, names.length).find((candidate) => !taken.has(candidate)) ?? name
    labels.set(name, label)
    taken.add(label)
  }
  return labels
}

/** Returns shortened forms: first with a third of the space for the end of the name, then with more, with less, and with a number. */
function candidates(name: string, limit: number, count: number): readonly string[] {
  const space = Math.max(1, limit - ELLIPSIS.length)
  const usual = Math.floor(space / 3)
  const ends = Array.from({ length: space }, (_, index) => (usual + index < space ? usual + index : space - 1 - index))
  const shortened = ends.map((end) => name.slice(0, space - end) + ELLIPSIS + name.slice(name.length - end))
  const numbered = Array.from({ length: count }, (_, index) => {
    const suffix = `${ELLIPSIS}${index + 2}`
    return name.slice(0, Math.max(0, limit - suffix.length)) + suffix
  })
  return [...shortened, ...numbered]
}
