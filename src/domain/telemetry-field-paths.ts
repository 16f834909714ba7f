import { invalid, requiredText } from './fields.ts'
import { isJsonObject, type JsonObject, type JsonValue } from './gateway.ts'

/** The most paths of one query, and the most characters of one. */
const FIELD_PATH_LIMITS = { count: 50, length: 256 } as const

/** What the store's notation of a path cannot hold. */
const UNSPEAKABLE = /[\p{Cc}`]/u

/**
 * The paths of fields that a caller wants: keys joined by dots, such as `accelerometer_1.x`. Each once, and none that lies
 * within another one of them. Throws `invalid_argument` that names the parameter for too many, and for one that is empty, too
 * long or cannot be a path.
 */
export function fieldPaths(parameter: string, paths: readonly string[]): readonly string[] {
  if (paths.length > FIELD_PATH_LIMITS.count) {
    throw invalid(`${parameter}: ${paths.length} paths are too many: at most ${FIELD_PATH_LIMITS.count}`)
  }
  for (const path of paths) {
    requiredText(parameter, path, FIELD_PATH_LIMITS.length)
    if (UNSPEAKABLE.test(path)) throw invalid(`${parameter} must not contain back quotes or control characters`)
    if (path.split('.').includes('')) {
      throw invalid(`${parameter} must be keys joined by single dots such as accelerometer_1.x, not ${path}`)
    }
  }
  const once = [...new Set(paths)]
  return once.filter((path) => !once.some((other) => path.startsWith(`${other}.`)))
}

/** The object that has these values at these paths, none of which lies within another; those without a value are left out. */
export function nested(fields: Iterable<readonly [path: string, value: JsonValue | undefined]>): JsonObject {
  const root: Branch = new Map()
  for (const [path, value] of fields) {
    if (value !== undefined) place(root, path.split('.'), value)
  }
  return objectOf(root)
}

/** The value at a path, or undefined. */
export function valueAt(data: JsonObject, path: string): JsonValue | undefined {
  let value: JsonValue | undefined = data
  for (const key of path.split('.')) {
    if (!isJsonObject(value) || !Object.hasOwn(value, key)) return undefined
    value = value[key]
  }
  return value
}

type Branch = Map<string, Branch | { readonly leaf: JsonValue }>

function place(root: Branch, keys: readonly string[], value: JsonValue): void {
  let branch = root
  for (const key of keys.slice(0, -1)) {
    const known = branch.get(key)
    const next = known instanceof Map ? known : new Map()
    branch.set(key, next)
    branch = next
  }
  branch.set(keys.at(-1) ?? '', { leaf: value })
}

/** `Object.fromEntries` defines properties: `__proto__` is a key like any other to it. */
function objectOf(branch: Branch): JsonObject {
  return Object.fromEntries(
    [...branch].map(([key, inner]) => [key, inner instanceof Map ? objectOf(inner) : inner.leaf]),
  )
}
