import type { JsonNode, JsonPath } from './json-source.ts'
import { isSecret, secretNamesOf } from './problems.ts'
import { redact } from '../redact.ts'

/** Returns the plain value of a configuration in which `***` replaces secrets. A reference to a variable is not a secret. */
export function maskSecrets(root: JsonNode): unknown {
  const secretNames = secretNamesOf(root)
  const masked = (node: JsonNode, path: JsonPath): unknown => {
    if (node.type === 'array') return node.items.map((item, index) => masked(item, [...path, index]))
    if (node.type === 'object') {
      return Object.fromEntries(node.entries.map(({ key, value }) => [key, masked(value, [...path, key])]))
    }
    const { value } = node
    if (isSecret(path, root)) return typeof value === 'string' && /^\$\{\w+\}$/.test(value) ? value : '***'
    return typeof value === 'string' ? redact(value, secretNames) : value
  }
  return masked(root, [])
}
