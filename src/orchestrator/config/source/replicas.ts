import type { JsonNode } from './json-source.ts'
import type { ConfigSource } from './read.ts'

/** The maximum number of instances of a process. */
export const MAX_REPLICAS = 1000

/** Replaces the existing values of `replicas`, by the name of their process. The positions do not change. */
export function withReplicas(source: ConfigSource, replicas: ReadonlyMap<string, number>): ConfigSource {
  const replace = (root: JsonNode, [name, value]: readonly [string, number]) =>
    replaceAt(root, ['processes', name, 'replicas'], value)
  return { ...source, root: [...replicas].reduce(replace, source.root) }
}

/** Replaces the value at a path by a number; without such a value it changes nothing. */
function replaceAt(node: JsonNode, [key, ...rest]: readonly string[], value: number): JsonNode {
  if (key === undefined) {
    const { source, start, end } = node
    return { source, start, end, type: 'scalar', value }
  }
  if (node.type !== 'object') return node
  const entries = node.entries.map((entry) =>
    entry.key === key ? { ...entry, value: replaceAt(entry.value, rest, value) } : entry,
  )
  return { ...node, entries }
}
