import { JsonSyntaxError } from './errors.ts'

/** A JSON value with its position in the text. Offsets are in UTF-16 units, `end` is exclusive. */
export type JsonNode =
  | { readonly type: 'object'; readonly start: number; readonly end: number; readonly entries: readonly JsonEntry[] }
  | { readonly type: 'array'; readonly start: number; readonly end: number; readonly items: readonly JsonNode[] }
  | {
      readonly type: 'scalar'
      readonly start: number
      readonly end: number
      readonly value: string | number | boolean | null
    }

export interface JsonEntry {
  readonly key: string
  readonly keyStart: number
  readonly value: JsonNode
}

export type JsonPath = readonly (string | number)[]

const MAX_DEPTH = 200
/** A string without its closing quote. */
// oxlint-disable-next-line no-control-regex -- JSON strings must not contain control characters
const openString = /"(?:[^"\\\u0000-\u001f]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y
const literal = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const word = /[\w$.+-]+/y

/** Parses the same texts as JSON.parse, up to 200 levels of nesting. Keeps the order of keys, and duplicate keys. */
export function parseJson(text: string): JsonNode {
  return new JsonReader(text).read()
}

class JsonReader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  read(): JsonNode {
    this.#skipSpace()
    if (this.#at === this.#text.length) throw new JsonSyntaxError('the file is empty; expected {', 0)
    const root = this.#value(0)
    this.#skipSpace()
    if (this.#at < this.#text.length) this.#fail('expected the end of the file')
    return root
  }

  #value(depth: number): JsonNode {
    if (depth > MAX_DEPTH) this.#fail(`more than ${MAX_DEPTH} levels of nesting`)
    const start = this.#at
    const first = this.#text[start]
    if (first === '{') return this.#object(depth)
    if (first === '[') return this.#array(depth)
    const value = first === '"' ? this.#string() : this.#literal()
    return { type: 'scalar', start, end: this.#at, value }
  }

  #object(depth: number): JsonNode {
    const start = this.#at
    const entries: JsonEntry[] = []
    this.#list('{', '}', () => {
      const keyStart = this.#at
      if (this.#text[this.#at] !== '"') this.#fail(`expected a key in double quotes${this.#hint()}`)
      const key = this.#string()
      this.#skipSpace()
      if (!this.#take(':')) this.#fail(`expected ":" after the key ${JSON.stringify(key)}`)
      this.#skipSpace()
      entries.push({ key, keyStart, value: this.#value(depth + 1) })
    })
    return { type: 'object', start, end: this.#at, entries }
  }

  #array(depth: number): JsonNode {
    const start = this.#at
    const items: JsonNode[] = []
    this.#list('[', ']', () => items.push(this.#value(depth + 1)))
    return { type: 'array', start, end: this.#at, items }
  }

  /** Reads brackets and the comma-separated elements between them. */
  #list(open: '{' | '[', close: '}' | ']', element: () => void): void {
    const start = this.#at
    this.#at += 1
    this.#skipSpace()
    if (this.#take(close)) return
    for (;;) {
      this.#expectMore(open, start)
      element()
      this.#skipSpace()
      if (this.#take(close)) return
      const comma = this.#at
      this.#expectMore(open, start)
      if (!this.#take(',')) this.#fail(`expected "," or "${close}"${this.#hint()}`)
      this.#skipSpace()
      if (this.#text[this.#at] === close) throw new JsonSyntaxError(`remove the comma before "${close}"`, comma)
    }
  }

  #expectMore(open: '{' | '[', start: number): void {
    if (this.#at < this.#text.length) return
    const { line } = positionOf(this.#text, start)
    this.#fail(`the file ends here, but the "${open}" in line ${line} is not closed`)
  }

  #string(): string {
    const start = this.#at
    this.#at += this.#match(openString)?.length ?? 0
    const next = this.#text[this.#at]
    if (this.#take('"')) return String(JSON.parse(this.#text.slice(start, this.#at)))
    if (next === '\\') this.#fail('invalid escape; write \\\\ for one backslash')
    if (next !== undefined && next !== '\n' && next !== '\r') {
      this.#fail('a control character in a string; write it as an escape, such as \\t')
    }
    throw new JsonSyntaxError('the string that begins here has no closing quote in its line', start)
  }

  #literal(): number | boolean | null {
    const found = this.#match(word) ?? ''
    if (found === '' || this.#match(literal) !== found) this.#fail(`expected a value${this.#hint()}`)
    this.#at += found.length
    const value: unknown = JSON.parse(found)
    return typeof value === 'number' || typeof value === 'boolean' ? value : null
  }

  /** Returns a hint for syntax that is valid in JavaScript only. */
  #hint(): string {
    const rest = this.#text.slice(this.#at, this.#at + 2)
    if (rest === '//' || rest === '/*' || rest.startsWith('#')) return '; JSON has no comments'
    if (rest.startsWith("'") || rest.startsWith('`')) return '; JSON strings are in double quotes'
    if (/^[A-Za-z_]/.test(rest)) return '; a string is in double quotes'
    if (/^[-+.\d]/.test(rest)) return '; JSON numbers are written as in 30, -1.5 or 1e3'
    return ''
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    return pattern.exec(this.#text)?.[0]
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false
    this.#at += 1
    return true
  }

  #skipSpace(): void {
    while (' \t\n\r'.includes(this.#text[this.#at] ?? 'end')) this.#at += 1
  }

  #fail(message: string): never {
    throw new JsonSyntaxError(message, this.#at)
  }
}

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

export interface JsonKey {
  readonly path: JsonPath
  readonly offset: number
  /** True if the object has an earlier entry with this key. */
  readonly isDuplicate: boolean
}

/** Returns every key of every object below the node, in the order of the text. */
export function allKeys(node: JsonNode, path: JsonPath = []): readonly JsonKey[] {
  if (node.type === 'scalar') return []
  if (node.type === 'array') return node.items.flatMap((item, index) => allKeys(item, [...path, index]))
  const seen = new Set<string>()
  return node.entries.flatMap(({ key, keyStart, value }) => {
    const here = [...path, key]
    const isDuplicate = seen.has(key)
    seen.add(key)
    return [{ path: here, offset: keyStart, isDuplicate }, ...allKeys(value, here)]
  })
}

/** Returns line and column of an offset, from 1. Columns are in UTF-16 units, as in editors. */
export function positionOf(text: string, offset: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, offset)
  const lineStart = before.lastIndexOf('\n') + 1
  return { line: before.split('\n').length, column: offset - lineStart + 1 }
}
