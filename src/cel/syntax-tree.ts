import { parse } from '@bufbuild/cel'

/** The root of a parsed expression, macros expanded into comprehensions. */
export type Expr = ReturnType<typeof parse>['expr']
type Kind = Expr['exprKind']
export type Call = Extract<Kind, { case: 'callExpr' }>['value']
export type Comprehension = Extract<Kind, { case: 'comprehensionExpr' }>['value']
export type Struct = Extract<Kind, { case: 'structExpr' }>['value']
export type Select = Extract<Kind, { case: 'selectExpr' }>['value']

/** A place in a source, both counted from 1. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** What is wrong with a source, and where. */
export interface Problem extends Position {
  readonly message: string
}

export type ParseResult = { readonly ok: true; readonly parsed: ParsedSource } | ({ readonly ok: false } & Problem)

/** An expression together with the places of its parts. */
export class ParsedSource {
  readonly tree: ReturnType<typeof parse>
  readonly #source: string

  constructor(source: string, tree: ReturnType<typeof parse>) {
    this.#source = source
    this.tree = tree
  }

  /** Where the part with this id starts; the start of the source for an id that has no place. */
  positionOf(id: bigint | number | undefined): Position {
    const offset = this.tree.sourceInfo?.positions[String(id)] ?? 0
    const before = this.#source.slice(0, offset)
    const line = before.split('\n').length
    return { line, column: offset - before.lastIndexOf('\n') }
  }
}

/**
 * Parses a source. The parser wants a line end behind a comment, so it gets one. What it expected at the place of a syntax
 * error is left out: it lists the whole grammar.
 */
export function parseSource(source: string): ParseResult {
  try {
    return { ok: true, parsed: new ParsedSource(source, parse(`${source}\n`)) }
  } catch (error) {
    return { ok: false, ...describeParseError(error, source) }
  }
}

function describeParseError(error: unknown, source: string): Problem {
  if (error instanceof RangeError) return { line: 1, column: 1, message: 'the expression is nested too deeply' }
  if (!(error instanceof Error)) return { line: 1, column: 1, message: String(error) }
  const place = /^<input>:(\d+):(\d+): ([^]*)$/.exec(error.message)
  const [, line, column, text = error.message] = place ?? []
  const lines = source.split('\n')
  const end = { line: lines.length, column: (lines.at(-1) ?? '').length + 1 }
  const position = { line: Number(line ?? 1), column: Number(column ?? 1) }
  return {
    ...(position.line > end.line ? end : position),
    message: `syntax error: ${text.replace(/ but expecting [^]*$/, '')}`,
  }
}
