import { childOf, type JsonNode, type JsonPath } from './json-source.ts'
import { isSecret, type Problems } from './problems.ts'

/** A variable in the form of a shell, in a text that is not a script: scripts have spaces, quotes or brackets. */
const shellVariable = /^[^\s'"`{}()\\$]*(\$([A-Z_][A-Z0-9_]*))[^\s'"`{}()\\]*$/

/**
 * Adds a problem for the first value of `args` or `env` that contains `$NAME`, which is not interpolated. Values that may be
 * secrets are left out, because a password can contain the same characters.
 */
export function addLiteralVariable(root: JsonNode, problems: Problems): void {
  for (const { node, path } of interpolatedTexts(root)) {
    if (node.type !== 'scalar' || typeof node.value !== 'string' || isSecret(path, root)) continue
    const [, found, name] = shellVariable.exec(node.value) ?? []
    if (found === undefined) continue
    return problems.add(path, `"${found}" is passed as it is; write \${${name}} to insert the variable`)
  }
}

interface Place {
  readonly node: JsonNode
  readonly path: JsonPath
}

function interpolatedTexts(root: JsonNode): readonly Place[] {
  const processes = placesIn(root, 'processes')
  const ofProcesses = processes.flatMap(({ node, path }) => ['args', 'env'].flatMap((key) => placesIn(node, key, path)))
  return [...placesIn(root, 'env'), ...ofProcesses]
}

/** Returns the elements or values at a key of a node; empty if it has none. */
function placesIn(node: JsonNode, key: string, base: JsonPath = []): readonly Place[] {
  const found = childOf(node, key)
  if (found?.type === 'array') return found.items.map((item, index) => ({ node: item, path: [...base, key, index] }))
  if (found?.type !== 'object') return []
  return found.entries.map((entry) => ({ node: entry.value, path: [...base, key, entry.key] }))
}
