/** One file that was read. */
export interface SourceText {
  /** The path for messages. */
  readonly name: string
  /** The absolute path of the file's folder, to which its relative paths refer. */
  readonly folder: string
  readonly text: string
}

/** A position in a file, in UTF-16 units. */
export interface SourcePosition {
  readonly source: SourceText
  readonly start: number
}

/** A JSON value with its position. `end` is exclusive. An object that was merged has the position of the last file. */
export type JsonNode = SourcePosition & { readonly end: number } & (
    | { readonly type: 'object'; readonly entries: readonly JsonEntry[] }
    | { readonly type: 'array'; readonly items: readonly JsonNode[] }
    | { readonly type: 'scalar'; readonly value: string | number | boolean | null }
  )

/** A key with its position, and its value. */
export interface JsonEntry extends SourcePosition {
  readonly key: string
  readonly value: JsonNode
}

export type JsonPath = readonly (string | number)[]

/** Returns the plain value. The last of duplicate keys wins; `__proto__` becomes an own property. */
export function toValue(node: JsonNode | undefined): unknown {
  if (node === undefined) return undefined
  if (node.type === 'scalar') return node.value
  if (node.type === 'array') return node.items.map(toValue)
  const object: Record<string, unknown> = {}
  for (const { key, value } of node.entries) {
    Object.defineProperty(object, key, { value: toValue(value), enumerable: true, writable: true, configurable: true })
  }
  return object
}

/** Returns the last entry with this key; undefined if there is none or the node is not an object. */
export function entryOf(node: JsonNode | undefined, key: string): JsonEntry | undefined {
  return node?.type === 'object' ? node.entries.findLast((entry) => entry.key === key) : undefined
}

export function childOf(node: JsonNode | undefined, key: string | number): JsonNode | undefined {
  if (typeof key === 'string') return entryOf(node, key)?.value
  return node?.type === 'array' ? node.items[key] : undefined
}

/** Returns the node at `path`, or the last existing node on the path to it. */
export function nodeAt(root: JsonNode, path: JsonPath): { readonly node: JsonNode; readonly found: boolean } {
  let node = root
  for (const key of path) {
    const child = childOf(node, key)
    if (child === undefined) return { node, found: false }
    node = child
  }
  return { node, found: true }
}

/** Returns the folder to which the path at `path` refers: that of the file in which the value stands. */
export function folderOf(root: JsonNode, path: JsonPath): string {
  return nodeAt(root, path).node.source.folder
}

export interface JsonKey extends SourcePosition {
  readonly path: JsonPath
  /** True if the object has an earlier entry with this key. */
  readonly isDuplicate: boolean
}

/** Returns every key of every object below the node, in the order of the text. */
export function allKeys(node: JsonNode, path: JsonPath = []): readonly JsonKey[] {
  if (node.type === 'scalar') return []
  if (node.type === 'array') return node.items.flatMap((item, index) => allKeys(item, [...path, index]))
  const seen = new Set<string>()
  return node.entries.flatMap(({ key, source, start, value }) => {
    const here = [...path, key]
    const isDuplicate = seen.has(key)
    seen.add(key)
    return [{ path: here, source, start, isDuplicate }, ...allKeys(value, here)]
  })
}

/** Returns line and column of an offset, from 1. Columns are in UTF-16 units, as in editors. */
export function positionOf(text: string, offset: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, offset)
  const lineStart = before.lastIndexOf('\n') + 1
  return { line: before.split('\n').length, column: offset - lineStart + 1 }
}
