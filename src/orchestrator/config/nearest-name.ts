/**
 * Returns the nearest candidate, or null if none is close. Allows one edit (insertion, deletion, replacement or swap of
 * neighbours) per three letters, at least one, at most `maxEdits`, none in a name of one letter. Ignores case. Ties go to the
 * candidate with the same first letter, then to the earlier one.
 */
export function nearestName(name: string, candidates: Iterable<string>, maxEdits = Infinity): string | null {
  const startsAlike = (other: string) => other.charAt(0).toLowerCase() === name.charAt(0).toLowerCase()
  let nearest: string | null = null
  let best = Math.min(Math.max(1, Math.floor(name.length / 3)), name.length - 1, maxEdits) + 1
  for (const candidate of candidates) {
    if (candidate === name) continue
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase())
    const isNearer = distance === best && nearest !== null && startsAlike(candidate) && !startsAlike(nearest)
    if (distance < best || isNearer) [nearest, best] = [candidate, distance]
  }
  return nearest
}

/** Returns the correction of an unknown name: the nearest candidate; if none is close, all names of the `list` after `intro`. */
export function nameHint(name: string, intro: string, list: Iterable<string>, candidates = list): string {
  const nearest = nearestName(name, candidates)
  return nearest === null ? `${intro} ${[...list].join(', ')}` : `did you mean "${nearest}"?`
}

/** Returns the optimal string alignment distance. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let edits = Math.min(at(last, j) + 1, at(row, j - 1) + 1, at(last, j - 1) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        edits = Math.min(edits, at(beforeLast, j - 2) + 1)
      }
      row.push(edits)
    }
    beforeLast = last
    last = row
  }
  return at(last, b.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}
