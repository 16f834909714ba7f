import { parse } from '@bufbuild/cel'
import type { PayloadConversionFault } from '../../domain/ports.ts'
import { VARIABLES } from './environment.ts'

type Tree = ReturnType<typeof parse>
/** A node of the syntax tree. Macros are expanded into comprehensions. */
export type Expr = Tree['expr']
export type ExprNode<Case extends string> = Extract<Expr['exprKind'], { case: Case }>['value']

export type ParseResult = { readonly ok: true; readonly parsed: ParsedSource } | PayloadConversionFault

/** A syntax tree and the positions of its nodes. */
export class ParsedSource {
  readonly tree: Tree
  readonly #source: string

  constructor(source: string, tree: Tree) {
    this.#source = source
    this.tree = tree
  }

  /** Returns line and column, from 1, of the node with this id; the start of the source for an id without a position. */
  positionOf(id: bigint): { readonly line: number; readonly column: number } {
    const offset = this.tree.sourceInfo?.positions[String(id)] ?? 0
    const before = this.#source.slice(0, offset)
    return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') }
  }
}

export function parseSource(source: string): ParseResult {
  try {
    // The parser requires a line end after a comment.
    return { ok: true, parsed: new ParsedSource(source, parse(`${source}\n`)) }
  } catch (error) {
    return parseFault(error, source)
  }
}

function parseFault(error: unknown, source: string): PayloadConversionFault {
  const start = { ok: false, line: 1, column: 1 } as const
  if (error instanceof RangeError) return { ...start, message: 'the expression is nested too deeply' }
  if (!(error instanceof Error)) return { ...start, message: String(error) }
  const [, line, column, text = error.message] = /^<input>:(\d+):(\d+): ([^]*)$/.exec(error.message) ?? []
  const lines = source.split('\n')
  const end = { line: lines.length, column: (lines.at(-1) ?? '').length + 1 }
  const position = { line: Number(line ?? 1), column: Number(column ?? 1) }
  // The list of expected tokens is the whole grammar.
  const message = `syntax error: ${text.replace(/ but expecting [^]*$/, '')}`
  return { ok: false, ...(position.line > end.line ? end : position), message }
}

/** A fault of the node with this id. */
export class CheckError extends Error {
  readonly id: bigint

  constructor(id: bigint, message: string) {
    super(message)
    this.id = id
  }
}

/** Returns `a.b.c` for a chain of selections on an identifier, without a leading dot; undefined for anything else. */
export function qualifiedName(expr: Expr | undefined): string | undefined {
  if (expr?.exprKind.case === 'identExpr') return expr.exprKind.value.name.replace(/^\./, '')
  if (expr?.exprKind.case !== 'selectExpr') return undefined
  const prefix = qualifiedName(expr.exprKind.value.operand)
  return prefix === undefined ? undefined : `${prefix}.${expr.exprKind.value.field}`
}

/** Returns whether expressions have a variable of this name. */
export function isVariable(name: string): name is keyof typeof VARIABLES {
  return Object.hasOwn(VARIABLES, name)
}
