import type { z } from 'zod'
import { ConfigError, type ConfigProblem } from '../errors.ts'
import {
  childOf,
  entryOf,
  type JsonNode,
  type JsonPath,
  nodeAt,
  positionOf,
  type SourcePosition,
  type SourceText,
  toValue,
} from './json-source.ts'
import { maskRange, redact, secretSpans } from '../redact.ts'
import { isSecretName, isSecretWord } from '../secret-names.ts'

/** Accepts problems of the values of a file. */
export interface Problems {
  add(path: JsonPath, message: string): void
}

/** Collects problems that are no mistakes of the file, as one text. */
export class ProblemTexts implements Problems {
  readonly #found = new Set<string>()

  add(path: JsonPath, message: string): void {
    this.#found.add(`${describePath(path)}: ${message}`)
  }

  /** Null if there are none. */
  get text(): string | null {
    return this.#found.size === 0 ? null : [...this.#found].join('; ')
  }
}

/** Collects all mistakes of a configuration. */
export class ProblemList implements Problems {
  readonly #root: JsonNode
  readonly #sources: readonly SourceText[]
  readonly #found: { readonly at: SourcePosition; readonly problem: ConfigProblem }[] = []

  /** `sources` are the files of the nodes below `root`, in the order of the report. */
  constructor(root: JsonNode, sources: readonly SourceText[]) {
    this.#root = root
    this.#sources = sources
  }

  /** Adds a problem of the value at `path`, or of its key. A missing value has the position of its parent. */
  add(path: JsonPath, message: string, at: 'value' | 'key' = 'value'): void {
    const key = path.at(-1)
    const parent = nodeAt(this.#root, path.slice(0, -1)).node
    const entry = at === 'key' && typeof key === 'string' ? entryOf(parent, key) : undefined
    this.addAt(entry ?? nodeAt(this.#root, path).node, path, message)
  }

  addAt(at: SourcePosition, path: JsonPath, message: string): void {
    const { source, start } = at
    const problem = { file: source.name, path: describePath(path), ...positionOf(source.text, start), message }
    // The instances of a process share their problems.
    const isKnown = this.#found.some(
      (known) => known.at.source === source && known.at.start === start && known.problem.message === message,
    )
    if (!isKnown) this.#found.push({ at, problem })
  }

  /**
   * Adds a problem; the first line of `expected` completes "expected …", the second is a correction. The message contains the
   * actual value, unless it is secret.
   */
  expected(path: JsonPath, expected: string): void {
    const { node, found } = nodeAt(this.#root, path)
    const [form = '', hint = this.#nullHint(node)] = expected.split('\n')
    if (!found) return this.add(path, `is missing; expected ${form}`)
    this.add(path, `expected ${form}, got ${this.#describe(node, path)}${hint === '' ? '' : `; ${hint}`}`)
  }

  /** The problems in the order of the files. */
  get all(): readonly ConfigProblem[] {
    const rank = ({ at }: { readonly at: SourcePosition }) => this.#sources.indexOf(at.source)
    const sorted = this.#found.toSorted((a, b) => rank(a) - rank(b) || a.at.start - b.at.start)
    return sorted.map(({ problem }) => problem)
  }

  throwIfAny(): void {
    const problems = this.all
    if (problems.length > 0) throw new ConfigError(problems.map((one) => describeProblem(one)).join('\n'), problems)
  }

  #nullHint(node: JsonNode): string {
    const isNull = node.type === 'scalar' && node.value === null
    return isNull && this.#sources.length > 1 ? 'null removes a key, but no earlier file has it' : ''
  }

  #describe(node: JsonNode, path: JsonPath): string {
    if (node.type === 'object') return node.entries.length === 0 ? 'an empty object' : 'an object'
    if (node.type === 'array') return node.items.length === 0 ? 'an empty list' : 'a list'
    if (isSecret(path, this.#root)) return 'a value that is not shown because it may be a secret'
    const source = redact(JSON.stringify(node.value), secretNamesOf(this.#root))
    return source.length > 80 ? `${source.slice(0, 80)}…` : source
  }
}

/** Renders a problem in one line; `severity` is empty or ends with a colon and a space. */
export function describeProblem(
  { file, line, column, path, message }: ConfigProblem,
  severity: '' | 'warning: ' = '',
): string {
  return `${file}:${line}:${column}: ${severity}${path === '' ? '' : `${path}: `}${message}`
}

/** Returns the names of secrets that a configuration lists in `secret_names`, even if other entries of the list are invalid. */
export function secretNamesOf(root: JsonNode): readonly string[] {
  const value = toValue(childOf(root, 'secret_names'))
  return Array.isArray(value) ? value.filter((name) => typeof name === 'string') : []
}

/** Returns whether a key on the path, or the preceding flag in a list, is a secret name. */
export function isSecret(path: JsonPath, root: JsonNode): boolean {
  const secretNames = secretNamesOf(root)
  const last = path.at(-1)
  if (typeof last === 'number' && last > 0) {
    const [word, before] = [last, last - 1].map((index) => textAt(root, [...path.slice(0, -1), index]))
    if (isSecretWord(word ?? '', before, secretNames)) return true
  }
  const keys = path[0] === 'processes' ? path.slice(2) : path
  // Names of processes.
  if (keys[0] === 'depends_on') return false
  return keys.some((key) => typeof key === 'string' && isSecretName(key, secretNames))
}

/** Returns the string at a path; undefined if there is another value or none. */
function textAt(root: JsonNode, path: JsonPath): string | undefined {
  const { node, found } = nodeAt(root, path)
  return found && node.type === 'scalar' && typeof node.value === 'string' ? node.value : undefined
}

/** Renders `['processes', 'store', 'args', 1]` as `processes.store.args[1]`; unusual keys are quoted. */
function describePath(path: JsonPath): string {
  return path
    .map((key, index) => {
      if (typeof key === 'number') return `[${key}]`
      if (!/^[\w$-]+$/.test(key)) return `[${JSON.stringify(key)}]`
      return index === 0 ? key : `.${key}`
    })
    .join('')
}

const excerptWidth = 100

/** Renders the line at `offset` with its number and a caret below. Secrets are masked, long lines are cut. */
export function excerpt({ text }: SourceText, offset: number): string {
  const { line } = positionOf(text, offset)
  const lineStart = text.lastIndexOf('\n', offset - 1) + 1
  const nextBreak = text.indexOf('\n', offset)
  const lineEnd = nextBreak === -1 ? text.length : nextBreak
  const start = Math.max(lineStart, offset - excerptWidth)
  const end = Math.min(lineEnd, offset + excerptWidth)
  // The preceding text determines the secret parts.
  const from = Math.max(0, start - 1000)
  const spans = secretSpans(text.slice(from, end)).map((span) => ({ start: span.start + from, end: span.end + from }))
  const shown = maskRange(text, spans, start, end)
  const secret = spans.find((span) => span.start < offset && offset < span.end)
  const caret = maskRange(text, spans, start, secret?.start ?? offset).length
  const first = `${line} | ${start > lineStart ? '…' : ''}`
  const margin = `${' '.repeat(String(line).length)} | ${start > lineStart ? ' ' : ''}`
  const indent = shown.slice(0, caret).replaceAll(/[^\t]/g, ' ')
  return `${first}${shown.trimEnd()}${end < lineEnd ? '…' : ''}\n${margin}${indent}^`
}

/** Adds the issues of the schema; `base` is the path of the validated value. */
export function addSchemaProblems(
  problems: ProblemList,
  issues: readonly z.core.$ZodIssue[],
  base: JsonPath = [],
): void {
  for (const issue of issues) {
    const path = [...base, ...issue.path.map((key) => (typeof key === 'number' ? key : String(key)))]
    if (issue.code === 'unrecognized_keys') {
      const messages = issue.message.split('\n')
      issue.keys.forEach((key, index) => problems.add([...path, key], messages[index] ?? 'unknown key', 'key'))
    } else if (issue.code === 'invalid_key') {
      const name = JSON.stringify(path.at(-1))
      problems.add(path, `expected ${issue.issues[0]?.message ?? issue.message}, got ${name}`, 'key')
    } else if (issue.code === 'invalid_union') {
      const branch = issue.errors.find((errors) => errors.every(isInside))
      if (branch === undefined) problems.expected(path, issue.message)
      else addSchemaProblems(problems, branch, path)
    } else if (issue.code === 'custom' && issue.params?.['statement'] === true) {
      problems.add(path, issue.message)
    } else {
      problems.expected(path, issue.message)
    }
  }
}

/** Returns whether the issue concerns a part of the value, so that the value's type matches this branch of the union. */
function isInside(issue: z.core.$ZodIssue): boolean {
  return issue.path.length > 0 || issue.code === 'unrecognized_keys'
}
