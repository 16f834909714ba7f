import { parse } from '@bufbuild/cel'
import type { PayloadConversionChecker, PayloadConversionFault } from '../domain/ports.ts'
import { environment, VARIABLES } from './environment.ts'
import { sourceSizeError } from './worker-protocol.ts'

type Tree = ReturnType<typeof parse>
/** A node of the syntax tree. Macros are expanded into comprehensions. */
type Expr = Tree['expr']
type Node<Case extends string> = Extract<Expr['exprKind'], { case: Case }>['value']

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

/** The maximum nesting of macros that iterate (`map`, `filter`, `all` …): each level multiplies the work. */
const MAX_MACRO_NESTING = 2
/** The maximum depth of the syntax tree, which keeps recursion far from a stack overflow. */
const MAX_TREE_DEPTH = 250

const MAX_INT = 2n ** 63n - 1n
const MIN_INT = -(2n ** 63n)
const MAX_UINT = 2n ** 64n - 1n

/** Operators that the evaluator implements, not the function table. */
const BUILT_IN_OPERATORS = new Set(['_[_]', '_?_:_', '_&&_', '_||_', '@not_strictly_false'])
const MACROS = new Set(['has', 'all', 'exists', 'exists_one', 'map', 'filter'])
const MESSAGE_NAMES = new Set(
  (
    'Any Duration ListValue Struct Timestamp Value BoolValue BytesValue DoubleValue FloatValue Int32Value Int64Value ' +
    'StringValue UInt32Value UInt64Value'
  )
    .split(' ')
    .map((name) => `google.protobuf.${name}`),
)
const TYPE_NAMES = ['int', 'uint', 'double', 'bool', 'string', 'bytes', 'list', 'map', 'null_type', 'type']
const KNOWN_NAMES = new Set([...TYPE_NAMES, ...MESSAGE_NAMES, 'google.protobuf.NullValue.NULL_VALUE'])

class CheckError extends Error {
  readonly id: bigint

  constructor(id: bigint, message: string) {
    super(message)
    this.id = id
  }
}

/**
 * Checks everything that does not depend on a payload: size, syntax, nesting, unknown variables and functions, literals out of
 * range, and a result that can never be a map. Never throws.
 */
export function checkSource(source: string): ParseResult {
  const tooLong = sourceSizeError(source)
  if (tooLong !== undefined) return { ok: false, line: 1, column: 1, message: tooLong }
  const result = parseSource(source)
  if (!result.ok) return result
  try {
    const root = result.parsed.tree.expr
    visit(root, { local: new Set(), depth: 0, macros: 0 })
    requireMap(root)
    return result
  } catch (error) {
    if (!(error instanceof CheckError)) throw error
    return { ok: false, ...result.parsed.positionOf(error.id), message: error.message }
  }
}

/** Creates a checker. An empty source passes: the device has no expression yet. */
export function createPayloadConversionChecker(): PayloadConversionChecker {
  return {
    check(source) {
      const result = source === '' ? { ok: true as const } : checkSource(source)
      return result.ok ? { ok: true } : result
    },
  }
}

interface Scope {
  /** The variables of macros, which hide those of the environment. */
  readonly local: ReadonlySet<string>
  readonly depth: number
  readonly macros: number
}

function visit(expr: Expr | undefined, outer: Scope): void {
  if (expr === undefined) return
  const scope = { ...outer, depth: outer.depth + 1 }
  if (scope.depth > MAX_TREE_DEPTH)
    throw new CheckError(expr.id, `the expression is nested too deeply: at most ${MAX_TREE_DEPTH} levels are allowed`)
  const { exprKind } = expr
  switch (exprKind.case) {
    case 'constExpr':
      return checkConstant(expr, exprKind.value)
    case 'identExpr':
      return checkName(expr, scope)
    case 'selectExpr':
      return visitSelect(expr, exprKind.value, scope)
    case 'callExpr':
      return visitCall(expr, exprKind.value, scope)
    case 'listExpr':
      return exprKind.value.elements.forEach((element) => visit(element, scope))
    case 'structExpr':
      return visitStruct(expr, exprKind.value, scope)
    case 'comprehensionExpr':
      return visitComprehension(expr, exprKind.value, scope)
    case undefined:
      return undefined
  }
}

function checkConstant(expr: Expr, { constantKind: constant }: Node<'constExpr'>): void {
  if (constant.case === 'int64Value' && (constant.value > MAX_INT || constant.value < MIN_INT))
    throw new CheckError(expr.id, `${constant.value} is not a 64-bit integer`)
  if (constant.case === 'uint64Value' && constant.value > MAX_UINT)
    throw new CheckError(expr.id, `${constant.value}u is not an unsigned 64-bit integer`)
  if (constant.case === 'doubleValue' && !Number.isFinite(constant.value))
    throw new CheckError(expr.id, 'the number is too large for a double')
}

function checkName(expr: Expr, scope: Scope): void {
  const name = qualifiedName(expr) ?? ''
  if (scope.local.has(name) || isVariable(name) || KNOWN_NAMES.has(name)) return
  throw new CheckError(expr.id, `unknown variable "${name}"; the payload is "input"`)
}

function visitSelect(expr: Expr, select: Node<'selectExpr'>, scope: Scope): void {
  const name = qualifiedName(expr)
  if (name !== undefined && KNOWN_NAMES.has(name)) return
  const scalar = scalarVariable(select.operand, scope.local)
  if (scalar !== undefined) throw new CheckError(expr.id, `${scalar} and has no fields${hint(scalar)}`)
  visit(select.operand, scope)
}

function visitCall(expr: Expr, call: Node<'callExpr'>, scope: Scope): void {
  const name = call.function
  const scalar = name === '_[_]' ? scalarVariable(call.args[0], scope.local) : undefined
  if (scalar !== undefined) throw new CheckError(expr.id, `${scalar} and cannot be indexed${hint(scalar)}`)
  if (!BUILT_IN_OPERATORS.has(name)) checkFunction(expr, call)
  visit(call.target, scope)
  for (const argument of call.args) visit(argument, scope)
}

function checkFunction(expr: Expr, call: Node<'callExpr'>): void {
  const overloads = environment.funcs.find(call.function)
  if (overloads === undefined) {
    const isMacro = MACROS.has(call.function)
    const name = `"${call.function}"`
    throw new CheckError(expr.id, isMacro ? `${name} is a macro; its arguments do not fit` : `unknown function ${name}`)
  }
  const isMethod = call.target !== undefined
  const fits = [...overloads].some(
    (overload) => (overload.target !== undefined) === isMethod && overload.arguments.length === call.args.length,
  )
  if (fits) return
  const form = `a ${isMethod ? 'method' : 'function'} with ${call.args.length} argument(s)`
  throw new CheckError(expr.id, `"${call.function}" does not exist as ${form}`)
}

function visitStruct(expr: Expr, struct: Node<'structExpr'>, scope: Scope): void {
  if (struct.messageName !== '' && !MESSAGE_NAMES.has(struct.messageName.replace(/^\./, '')))
    throw new CheckError(expr.id, `unknown type "${struct.messageName}"`)
  for (const entry of struct.entries) {
    if (entry.keyKind.case === 'mapKey') visit(entry.keyKind.value, scope)
    visit(entry.value, scope)
  }
}

function visitComprehension(expr: Expr, value: Node<'comprehensionExpr'>, scope: Scope): void {
  const macros = scope.macros + 1
  if (macros > MAX_MACRO_NESTING)
    throw new CheckError(
      expr.id,
      `macros are nested ${macros} deep (map, filter, all, exists …), at most ${MAX_MACRO_NESTING} are allowed`,
    )
  visit(value.iterRange, scope)
  visit(value.accuInit, scope)
  const names = [value.iterVar, value.iterVar2, value.accuVar].filter((name) => name !== '')
  const inner = { ...scope, macros, local: new Set([...scope.local, ...names]) }
  visit(value.loopCondition, inner)
  visit(value.loopStep, inner)
  visit(value.result, inner)
}

function requireMap(expr: Expr | undefined): void {
  const { exprKind } = expr ?? {}
  if (expr === undefined || exprKind === undefined) return
  if (exprKind.case === 'callExpr' && exprKind.value.function === '_?_:_') {
    requireMap(exprKind.value.args[1])
    requireMap(exprKind.value.args[2])
    return
  }
  const isMap = exprKind.case !== 'constExpr' && exprKind.case !== 'listExpr' && scalarVariable(expr) === undefined
  if (!isMap) throw new CheckError(expr.id, 'the result must be a map such as {"temperature": 21.5}')
}

/** Returns `a.b.c` for a chain of selections on an identifier, without a leading dot; undefined for anything else. */
function qualifiedName(expr: Expr | undefined): string | undefined {
  if (expr?.exprKind.case === 'identExpr') return expr.exprKind.value.name.replace(/^\./, '')
  if (expr?.exprKind.case !== 'selectExpr') return undefined
  const prefix = qualifiedName(expr.exprKind.value.operand)
  return prefix === undefined ? undefined : `${prefix}.${expr.exprKind.value.field}`
}

/** Returns `"input" is bytes` for a variable of the environment that is not a map; undefined for anything else. */
function scalarVariable(expr: Expr | undefined, local: ReadonlySet<string> = new Set()): string | undefined {
  if (expr?.exprKind.case !== 'identExpr') return undefined
  const { name } = expr.exprKind.value
  if (name === 'metadata' || local.has(name) || !isVariable(name)) return undefined
  return `"${name}" is ${VARIABLES[name].name}`
}

function isVariable(name: string): name is keyof typeof VARIABLES {
  return Object.hasOwn(VARIABLES, name)
}

function hint(scalar: string): string {
  return scalar === '"input" is bytes' ? '; decode it first' : ''
}
