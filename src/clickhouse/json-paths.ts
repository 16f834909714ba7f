import { isJsonList, isJsonObject, type JsonObject, type JsonValue } from '../domain/entities.ts'

/** ClickHouse's parser accepts 1024 levels, among them those of the row. */
const MAX_LEVELS = 1000

/**
 * Returns the reason why a column of type JSON cannot store the data; undefined if it can. ClickHouse joins nested keys by dots to
 * paths and refuses two values at one path: `{"a.b": 1, "a": {"b": 2}}`. Null and an empty object are no values. The objects in a
 * list have paths of their own.
 */
export function conflictIn(data: JsonObject): string | undefined {
  const shape = { levels: 0, hasDottedKey: false }
  survey(data, 1, shape)
  if (shape.levels > MAX_LEVELS) return `more than ${MAX_LEVELS} levels`
  // Two different sequences of keys have the same path only if a key contains a dot.
  const path = shape.hasDottedKey ? repeatedPath(data) : undefined
  return path === undefined ? undefined : `two values at the path ${path}`
}

function survey(value: JsonValue, level: number, shape: { levels: number; hasDottedKey: boolean }): void {
  if (typeof value !== 'object' || value === null) return
  if (level > shape.levels) shape.levels = level
  if (level > MAX_LEVELS) return
  if (isJsonList(value)) {
    for (const inner of value) survey(inner, level + 1, shape)
    return
  }
  for (const key in value) {
    shape.hasDottedKey ||= key.includes('.')
    survey(value[key] ?? null, level + 1, shape)
  }
}

/** Returns the first path with two values, in an object or in an object of its lists. */
function repeatedPath(object: JsonObject): string | undefined {
  const paths = new Set<string>()
  for (const [path, value] of leaves(object, '')) {
    if (paths.has(path)) return path
    paths.add(path)
    const inner = isJsonList(value) ? repeatedPathInList(value) : undefined
    if (inner !== undefined) return inner
  }
  return undefined
}

function repeatedPathInList(list: readonly JsonValue[]): string | undefined {
  for (const value of list) {
    const path = isJsonList(value) ? repeatedPathInList(value) : isJsonObject(value) ? repeatedPath(value) : undefined
    if (path !== undefined) return path
  }
  return undefined
}

function* leaves(object: JsonObject, prefix: string): Generator<readonly [path: string, value: JsonValue]> {
  for (const [key, value] of Object.entries(object)) {
    if (isJsonObject(value)) yield* leaves(value, `${prefix}${key}.`)
    else if (value !== null) yield [`${prefix}${key}`, value]
  }
}
