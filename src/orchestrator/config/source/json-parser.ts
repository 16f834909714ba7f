import { JsonSyntaxError } from '../errors.ts'
import { type JsonEntry, type JsonNode, positionOf, type SourceText } from './json-source.ts'

const MAX_DEPTH = 200
/** A string without its closing quote. */
// oxlint-disable-next-line no-control-regex -- JSON strings must not contain control characters
const openString = /"(?:[^"\\\u0000-\u001f]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y
const literal = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const spaceOrComment = /[ \t\n\r]+|\/\/[^\n\r]*|\/\*[^]*?\*\//y
const singleQuoted = /'[\w$.+-]+'/y
const word = /[\w$.+-]+/y

/**
 * Parses the same texts as JSON.parse, up to 200 levels of nesting, and also comments (`//`, `/* *\/`) and a comma after the
 * last entry. Keeps the order of keys, and duplicate keys. Throws a JsonSyntaxError.
 */
export function parseJson(source: SourceText): JsonNode {
  return new JsonReader(source).read()
}

class JsonReader {
  readonly #source: SourceText
  readonly #text: string
  #at = 0

  constructor(source: SourceText) {
    this.#source = source
    this.#text = source.text
  }

  read(): JsonNode {
    this.#skipSpace()
    if (this.#at === this.#text.length) throw new JsonSyntaxError('the file is empty; expected {', 0)
    const first = this.#match(word)
    if (first !== undefined && first !== this.#match(literal)) this.#fail('expected {; the file is a JSON object')
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
    return { type: 'scalar', ...this.#span(start), value }
  }

  #object(depth: number): JsonNode {
    const start = this.#at
    const entries: JsonEntry[] = []
    this.#list('{', '}', () => {
      const start = this.#at
      if (this.#text[start] !== '"') this.#fail(`expected a key in double quotes${this.#keyHint()}`)
      const key = this.#string()
      this.#skipSpace()
      if (!this.#take(':')) this.#fail(`expected ":" after the key ${JSON.stringify(key)}`)
      this.#skipSpace()
      entries.push({ source: this.#source, start, key, value: this.#value(depth + 1) })
    })
    return { type: 'object', ...this.#span(start), entries }
  }

  #array(depth: number): JsonNode {
    const start = this.#at
    const items: JsonNode[] = []
    this.#list('[', ']', () => items.push(this.#value(depth + 1)))
    return { type: 'array', ...this.#span(start), items }
  }

  /** Returns the position of a value that ends here. */
  #span(start: number): Pick<JsonNode, 'source' | 'start' | 'end'> {
    return { source: this.#source, start, end: this.#at }
  }

  /** Reads brackets and the comma-separated elements between them. */
  #list(open: '{' | '[', close: '}' | ']', element: () => void): void {
    const start = this.#at
    this.#at += 1
    this.#skipSpace()
    while (!this.#take(close)) {
      this.#expectMore(open, start)
      element()
      this.#skipSpace()
      if (this.#take(close)) return
      this.#expectMore(open, start)
      if (!this.#take(',')) this.#fail(`expected "," or "${close}"${this.#separatorHint()}`)
      this.#skipSpace()
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

  #keyHint(): string {
    const key = this.#match(word) ?? this.#match(singleQuoted)?.slice(1, -1)
    return key === undefined ? this.#hint() : `: ${JSON.stringify(key)}`
  }

  #separatorHint(): string {
    return /["{[]/.test(this.#text[this.#at] ?? '') ? '; add a comma after the preceding entry' : this.#hint()
  }

  /** Returns a hint for syntax of other languages. */
  #hint(): string {
    const rest = this.#text.slice(this.#at, this.#at + 2)
    if (rest.startsWith('#')) return '; a comment begins with //'
    if (rest.startsWith("'") || rest.startsWith('`')) return '; JSON strings are in double quotes'
    if (rest.startsWith(',')) return '; remove this comma'
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
    for (let found: string | undefined = ''; found !== undefined; found = this.#match(spaceOrComment))
      this.#at += found.length
    if (this.#text.startsWith('/*', this.#at)) this.#fail('the comment that begins here is not closed; expected */')
  }

  #fail(message: string): never {
    throw new JsonSyntaxError(message, this.#at)
  }
}
