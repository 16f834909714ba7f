import { JsonSyntaxError } from './errors.ts'

/** What a JSON text says, with the place of everything in it. Offsets are in UTF-16 units, `end` exclusive. */
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

const maxDepth = 200
const escape = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const word = /[\w$.+-]+/y

/** Accepts exactly what JSON.parse accepts (nesting is limited to 200), keeps the order of keys, and duplicate keys. */
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
    if (this.#at < this.#text.length) this.#fail('nothing may follow the end of the document')
    return root
  }

  #value(depth: number): JsonNode {
    if (depth > maxDepth) this.#fail(`more than ${maxDepth} levels of nesting`)
    const start = this.#at
    const first = this.#text[start]
    if (first === '{') return this.#object(depth)
    if (first === '[') return this.#array(depth)
    const value = first === '"' ? this.#string() : this.#numberOrWord()
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
      if (this.#text[this.#at] !== ':') this.#fail(`expected ":" after the key ${JSON.stringify(key)}`)
      this.#at += 1
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

  /** Everything between an opening and its closing bracket: elements with commas between them, none after the last. */
  #list(open: '{' | '[', close: '}' | ']', element: () => void): void {
    const start = this.#at
    this.#at += 1
    this.#skipSpace()
    if (this.#take(close)) return
    for (;;) {
      this.#insist(open, start)
      element()
      this.#skipSpace()
      if (this.#take(close)) return
      const comma = this.#at
      this.#insist(open, start)
      if (!this.#take(',')) this.#fail(`expected "," or "${close}"${this.#hint()}`)
      this.#skipSpace()
      if (this.#text[this.#at] === close) {
        throw new JsonSyntaxError(`a comma may not stand before "${close}"; remove it`, comma)
      }
    }
  }

  #insist(open: '{' | '[', start: number): void {
    if (this.#at < this.#text.length) return
    const line = this.#text.slice(0, start).split('\n').length
    this.#fail(`the file ends here, but the "${open}" in line ${line} is not closed`)
  }

  #string(): string {
    const start = this.#at
    for (this.#at += 1; ;) {
      const char = this.#text[this.#at]
      if (char === '"') break
      if (char === undefined || char === '\n' || char === '\r') {
        throw new JsonSyntaxError('the string that begins here has no closing quote in its line', start)
      }
      if (char < ' ') this.#fail('a control character in a string; write it as an escape, such as \\t')
      if (char === '\\') this.#escape()
      else this.#at += 1
    }
    this.#at += 1
    return String(JSON.parse(this.#text.slice(start, this.#at)))
  }

  #escape(): void {
    escape.lastIndex = this.#at
    if (!escape.test(this.#text)) this.#fail('not an escape that JSON knows; write \\\\ for one backslash')
    this.#at = escape.lastIndex
  }

  #numberOrWord(): number | boolean | null {
    word.lastIndex = this.#at
    const found = word.exec(this.#text)?.[0] ?? ''
    number.lastIndex = this.#at
    if (number.exec(this.#text)?.[0] === found && found !== '') return this.#consume(found, Number(found))
    if (found === 'true') return this.#consume(found, true)
    if (found === 'false') return this.#consume(found, false)
    if (found === 'null') return this.#consume(found, null)
    return this.#fail(`expected a value${this.#hint()}`)
  }

  #consume<T>(found: string, value: T): T {
    this.#at += found.length
    return value
  }

  /** What people write who take JSON for JavaScript. */
  #hint(): string {
    const rest = this.#text.slice(this.#at, this.#at + 2)
    if (rest === '//' || rest === '/*' || rest.startsWith('#')) return '; JSON has no comments'
    if (rest.startsWith("'") || rest.startsWith('`')) return '; JSON strings are in double quotes'
    if (/^[A-Za-z_]/.test(rest)) return '; a string is in double quotes'
    if (/^[-+.\d]/.test(rest)) return '; JSON numbers are written as in 30, -1.5 or 1e3'
    return ''
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

/** The plain value; of duplicate keys the last one counts. Keys such as `__proto__` are keys like any other. */
export function toValue(node: JsonNode): unknown {
  if (node.type === 'scalar') return node.value
  if (node.type === 'array') return node.items.map(toValue)
  const object: Record<string, unknown> = {}
  for (const { key, value } of node.entries) {
    Object.defineProperty(object, key, { value: toValue(value), enumerable: true, writable: true, configurable: true })
  }
  return object
}

/** The entry of an object that counts for `key`, the last one; undefined if there is none or it is no object. */
export function entryOf(node: JsonNode | undefined, key: string): JsonEntry | undefined {
  return node?.type === 'object' ? node.entries.findLast((entry) => entry.key === key) : undefined
}

export function childOf(node: JsonNode | undefined, key: string | number): JsonNode | undefined {
  if (typeof key === 'string') return entryOf(node, key)?.value
  return node?.type === 'array' ? node.items[key] : undefined
}

/** Follows `path` as far as it exists: the last node that is there, and whether that is the end of the path. */
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
  /** The same object has this key already. */
  readonly again: boolean
}

/** Every key of every object in it, in the order of the text. */
export function allKeys(node: JsonNode, path: JsonPath = []): readonly JsonKey[] {
  if (node.type === 'scalar') return []
  if (node.type === 'array') return node.items.flatMap((item, index) => allKeys(item, [...path, index]))
  const seen = new Set<string>()
  return node.entries.flatMap(({ key, keyStart, value }) => {
    const here = [...path, key]
    const again = seen.has(key)
    seen.add(key)
    return [{ path: here, offset: keyStart, again }, ...allKeys(value, here)]
  })
}

/** Line and column of an offset, both from 1; columns in UTF-16 units, as editors count. */
export function positionOf(text: string, offset: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, offset)
  const lineStart = before.lastIndexOf('\n') + 1
  return { line: before.split('\n').length, column: offset - lineStart + 1 }
}
