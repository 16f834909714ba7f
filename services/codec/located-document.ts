import type { Command } from 'commander'
import JSON5 from 'json5'
import { isCollection, isNode, LineCounter, parseDocument } from 'yaml'
import { messageOf } from '../../src/domain/errors.ts'

type Path = readonly PropertyKey[]

/** The value of a JSON5 or YAML file. */
export interface LocatedDocument {
  readonly value: unknown
  /** Returns the line of the value with this path, or of the deepest value that contains it. */
  readonly lineOf: (path: Path) => number
}

/** An error in a file that the user can correct. The message is one line: `FILE:LINE: …`, or `FILE: …`. */
export class FileError extends Error {
  override readonly name = 'FileError'

  constructor(file: string, line: number | undefined, message: string) {
    super(`${file}${line === undefined ? '' : `:${line}`}: ${message}`)
  }
}

/** Returns the FileError of a failed system call, without the path in Node's message. */
export function unreadable(file: string, error: unknown): FileError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return new FileError(file, undefined, REASONS[code] ?? `cannot be read: ${messageOf(error)}`)
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EISDIR: 'is a folder; expected a file',
  EACCES: 'cannot be read: permission denied',
}

/** Runs the action of a command; a FileError ends the program with exit code 2, as a wrong argument does. */
export async function rejectFileErrors(command: Command, action: () => Promise<void>): Promise<void> {
  try {
    await action()
  } catch (error) {
    if (!(error instanceof FileError)) throw error
    command.error(`error: ${error.message}`, { exitCode: 2 })
  }
}

/** Parses a file by its extension: `.yaml` and `.yml` are YAML, any other is JSON5, which includes JSON. Throws a FileError. */
export function parseLocated(file: string, text: string): LocatedDocument {
  return /\.ya?ml$/i.test(file) ? parseYaml(file, text) : parseJson5(file, text)
}

function parseYaml(file: string, text: string): LocatedDocument {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const [error] = document.errors
  if (error !== undefined) throw new FileError(file, lines.linePos(error.pos[0]).line, `invalid YAML: ${error.message}`)
  const lineOf = (path: Path): number => {
    let node: unknown = document.contents
    for (const key of path) {
      const inner: unknown = isCollection(node) ? node.get(key, true) : undefined
      if (!isNode(inner)) break
      node = inner
    }
    return isNode(node) && node.range ? lines.linePos(node.range[0]).line : 1
  }
  return { value: toJson(file, () => document.toJS()), lineOf }
}

/** Aliases that would expand to too much are an error of YAML, too. */
function toJson(file: string, convert: () => unknown): unknown {
  try {
    return convert()
  } catch (error) {
    throw new FileError(file, undefined, `invalid YAML: ${messageOf(error)}`)
  }
}

function parseJson5(file: string, text: string): LocatedDocument {
  let value: unknown
  try {
    value = JSON5.parse(text)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    const [, line] = / at (\d+):\d+$/.exec(error.message) ?? []
    throw new FileError(file, line === undefined ? undefined : Number(line), `invalid JSON5: ${error.message.slice(7)}`)
  }
  let root: LineNode | undefined
  return { value, lineOf: (path) => lineAt((root ??= new LineScanner(text).value()), path) }
}

/** The line of a value and of the values in it, by key or index. */
interface LineNode {
  readonly line: number
  readonly inner: ReadonlyMap<PropertyKey, LineNode>
}

function lineAt(root: LineNode, path: Path): number {
  let node = root
  for (const key of path) {
    const inner = node.inner.get(key)
    if (inner === undefined) break
    node = inner
  }
  return node.line
}

const TOKEN = /\/\/.*|\/\*[^]*?\*\/|"(?:\\[^]|[^"\\])*"|'(?:\\[^]|[^'\\])*'|[[\]{},:]|[^\s"'[\]{},:/]+/g

interface Token {
  readonly text: string
  readonly line: number
}

/** Finds the lines of the values in valid JSON5. */
class LineScanner {
  readonly #tokens: readonly Token[]
  #next = 0

  constructor(text: string) {
    this.#tokens = tokensOf(text)
  }

  value(): LineNode {
    const { text, line } = this.#take()
    const inner = new Map<PropertyKey, LineNode>()
    if (text === '{' || text === '[') {
      while (!['}', ']', ''].includes(this.#peek())) {
        const key = text === '{' ? this.#key() : inner.size
        inner.set(key, this.value())
        if (this.#peek() === ',') this.#take()
      }
      this.#take()
    }
    return { line, inner }
  }

  #key(): string {
    const { text } = this.#take()
    this.#take()
    return /^["']/.test(text) ? String(JSON5.parse(text)) : text
  }

  #peek(): string {
    return this.#tokens[this.#next]?.text ?? ''
  }

  #take(): Token {
    return this.#tokens[this.#next++] ?? { text: '', line: 1 }
  }
}

function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = []
  let line = 1
  let counted = 0
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    line += text.slice(counted, index).split('\n').length - 1
    counted = index
    if (!/^\/[/*]/.test(token)) tokens.push({ text: token, line })
  }
  return tokens
}
