import type { JsonEntry, JsonNode } from './json-source.ts'

/**
 * Merges a file over another: objects merge by key, other values replace, `null` removes the key. A `null` that has nothing to
 * remove stays, so that the schema rejects it. A merged object has the position of `over`.
 */
export function mergeJson(base: JsonNode, over: JsonNode): JsonNode {
  if (base.type !== 'object' || over.type !== 'object') return over
  const merged = new Map(base.entries.map((entry): [string, JsonEntry] => [entry.key, entry]))
  for (const entry of over.entries) {
    const below = merged.get(entry.key)
    const { value } = entry
    if (below === undefined) merged.set(entry.key, entry)
    else if (value.type === 'scalar' && value.value === null) merged.delete(entry.key)
    else merged.set(entry.key, { ...entry, value: mergeJson(below.value, value) })
  }
  return { ...over, entries: [...merged.values()] }
}
