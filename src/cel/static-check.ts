import { parse } from '@bufbuild/cel'
import type { PayloadConversionChecker } from '../domain/ports.ts'
import { environment, INPUT_VARIABLE } from './environment.ts'
import { sizeProblem } from './worker-protocol.ts'

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

/** How many macros that iterate (`map`, `filter`, `all` …) may stand inside one another: each multiplies the work. */
const MAX_MACRO_NESTING = 2
/** Levels of the syntax tree; keeps every recursion over it far from the end of the stack. */
const MAX_TREE_DEPTH = 250

const MAX_INT = 2n ** 63n - 1n
const MIN_INT = -(2n ** 63n)
const MAX_UINT = 2n ** 64n - 1n

/** Handled by the evaluator itself, not by the table of functions. */
const BUILT_IN_OPERATORS = new Set(['_[_]', '_?_:_', '_&&_', '_||_', '@not_strictly_false'])
const MACROS = new Set(['has', 'all', 'exists', 'exists_one', 'map', 'filter'])
const TYPE_NAMES = new Set(['int', 'uint', 'double', 'bool', 'string', 'bytes', 'list', 'map', 'null_type', 'type'])
const MESSAGE_NAMES = new Set(
  (
    'Any Duration ListValue Struct Timestamp Value BoolValue BytesValue DoubleValue FloatValue Int32Value Int64Value ' +
    'StringValue UInt32Value UInt64Value'
  )
    .split(' ')
    .map((name) => `google.protobuf.${name}`),
)
const ENUM_VALUES = new Set(['google.protobuf.NullValue.NULL_VALUE'])

class CheckFailure extends Error {
  readonly id: bigint

  constructor(id: bigint, message: string) {
    super(message)
    this.id = id
  }
}

/**
 * Everything about a source that can be known without a payload: size, syntax, nesting, unknown variables and functions,
 * literals out of range, and a result that can never be a map. Never throws.
 */
export function checkSource(source: string): ParseResult {
  const tooLong = sizeProblem(source)
  if (tooLong !== undefined) return { ok: false, line: 1, column: 1, message: tooLong }
  const result = parseSource(source)
  if (!result.ok) return result
  try {
    new Checker().check(result.parsed)
    return result
  } catch (error) {
    if (!(error instanceof CheckFailure)) throw error
    return { ok: false, ...result.parsed.positionOf(error.id), message: error.message }
  }
}

interface Scope {
  readonly variables: ReadonlySet<string>
  /** False where a macro's variable hides the payload's name. */
  readonly seesPayload: boolean
  readonly depth: number
  readonly macros: number
}

class Checker {
  check(parsed: ParsedSource): void {
    const root = parsed.tree.expr
    this.#visit(root, { variables: new Set([INPUT_VARIABLE]), seesPayload: true, depth: 0, macros: 0 })
    this.#requireMap(root)
  }

  #visit(expr: Expr | undefined, outer: Scope): void {
    if (expr === undefined) return
    const scope = { ...outer, depth: outer.depth + 1 }
    if (scope.depth > MAX_TREE_DEPTH)
      throw new CheckFailure(
        expr.id,
        `the expression is nested too deeply: at most ${MAX_TREE_DEPTH} levels are allowed`,
      )
    const { exprKind } = expr
    switch (exprKind.case) {
      case 'constExpr':
        return this.#checkConstant(expr)
      case 'identExpr':
        return this.#checkName(expr, scope)
      case 'selectExpr':
        return this.#visitSelect(expr, exprKind.value, scope)
      case 'callExpr':
        return this.#visitCall(expr, exprKind.value, scope)
      case 'listExpr':
        return exprKind.value.elements.forEach((element) => this.#visit(element, scope))
      case 'structExpr':
        return this.#visitStruct(expr, exprKind.value, scope)
      case 'comprehensionExpr':
        return this.#visitComprehension(expr, exprKind.value, scope)
      case undefined:
        return undefined
    }
  }

  #checkConstant(expr: Expr): void {
    if (expr.exprKind.case !== 'constExpr') return
    const constant = expr.exprKind.value.constantKind
    if (constant.case === 'int64Value' && (constant.value > MAX_INT || constant.value < MIN_INT))
      throw new CheckFailure(expr.id, `${constant.value} is not a 64-bit integer`)
    if (constant.case === 'uint64Value' && constant.value > MAX_UINT)
      throw new CheckFailure(expr.id, `${constant.value}u is not an unsigned 64-bit integer`)
    if (constant.case === 'doubleValue' && !Number.isFinite(constant.value))
      throw new CheckFailure(expr.id, 'the number is too large for a double')
  }

  #checkName(expr: Expr, scope: Scope): void {
    const name = qualifiedName(expr) ?? ''
    if (scope.variables.has(name) || isKnownName(name)) return
    throw new CheckFailure(expr.id, `unknown variable "${name}"; the payload is "${INPUT_VARIABLE}"`)
  }

  #visitSelect(expr: Expr, select: Select, scope: Scope): void {
    const name = qualifiedName(expr)
    if (name !== undefined && isKnownName(name)) return
    if (scope.seesPayload && isVariable(select.operand, INPUT_VARIABLE))
      throw new CheckFailure(expr.id, `"${INPUT_VARIABLE}" is bytes and has no fields; decode it first`)
    this.#visit(select.operand, scope)
  }

  #visitCall(expr: Expr, call: Call, scope: Scope): void {
    const name = call.function
    if (name === '_[_]' && scope.seesPayload && isVariable(call.args[0], INPUT_VARIABLE))
      throw new CheckFailure(expr.id, `"${INPUT_VARIABLE}" is bytes and cannot be indexed; decode it first`)
    if (!BUILT_IN_OPERATORS.has(name)) this.#checkFunction(expr, call)
    this.#visit(call.target, scope)
    for (const argument of call.args) this.#visit(argument, scope)
  }

  #checkFunction(expr: Expr, call: Call): void {
    const overloads = environment.funcs.find(call.function)
    if (overloads === undefined) {
      const form = MACROS.has(call.function) ? `"${call.function}" is a macro and is not used as one here` : undefined
      throw new CheckFailure(expr.id, form ?? `unknown function "${call.function}"`)
    }
    const isMethod = call.target !== undefined
    const fits = [...overloads].some(
      (overload) => (overload.target !== undefined) === isMethod && overload.arguments.length === call.args.length,
    )
    if (fits) return
    const form = isMethod ? `a method with ${call.args.length}` : `a function with ${call.args.length}`
    throw new CheckFailure(expr.id, `"${call.function}" does not exist as ${form} argument(s)`)
  }

  #visitStruct(expr: Expr, struct: Struct, scope: Scope): void {
    if (struct.messageName !== '' && !MESSAGE_NAMES.has(struct.messageName.replace(/^\./, '')))
      throw new CheckFailure(expr.id, `unknown type "${struct.messageName}"`)
    for (const entry of struct.entries) {
      if (entry.keyKind.case === 'mapKey') this.#visit(entry.keyKind.value, scope)
      this.#visit(entry.value, scope)
    }
  }

  #visitComprehension(expr: Expr, value: Comprehension, scope: Scope): void {
    const macros = scope.macros + 1
    if (macros > MAX_MACRO_NESTING)
      throw new CheckFailure(
        expr.id,
        `macros are nested ${macros} deep (map, filter, all, exists …), at most ${MAX_MACRO_NESTING} are allowed`,
      )
    this.#visit(value.iterRange, scope)
    this.#visit(value.accuInit, scope)
    const names = [value.iterVar, value.iterVar2, value.accuVar].filter((name) => name !== '')
    const seesPayload = scope.seesPayload && !names.includes(INPUT_VARIABLE)
    const inner = { ...scope, macros, seesPayload, variables: new Set([...scope.variables, ...names]) }
    this.#visit(value.loopCondition, inner)
    this.#visit(value.loopStep, inner)
    this.#visit(value.result, inner)
  }

  #requireMap(expr: Expr | undefined): void {
    const { exprKind } = expr ?? {}
    if (expr === undefined || exprKind === undefined) return
    if (exprKind.case === 'callExpr' && exprKind.value.function === '_?_:_') {
      this.#requireMap(exprKind.value.args[1])
      this.#requireMap(exprKind.value.args[2])
      return
    }
    const isMap = exprKind.case !== 'constExpr' && exprKind.case !== 'listExpr' && !isVariable(expr, INPUT_VARIABLE)
    if (!isMap) throw new CheckFailure(expr.id, 'the result must be a map such as {"temperature": 21.5}')
  }
}

/** `a.b.c` for a chain of selections on an identifier, without a leading dot; undefined for anything else. */
function qualifiedName(expr: Expr | undefined): string | undefined {
  if (expr?.exprKind.case === 'identExpr') return expr.exprKind.value.name.replace(/^\./, '')
  if (expr?.exprKind.case !== 'selectExpr') return undefined
  const prefix = qualifiedName(expr.exprKind.value.operand)
  return prefix === undefined ? undefined : `${prefix}.${expr.exprKind.value.field}`
}

function isKnownName(name: string): boolean {
  return TYPE_NAMES.has(name) || MESSAGE_NAMES.has(name) || ENUM_VALUES.has(name)
}

function isVariable(expr: Expr | undefined, name: string): boolean {
  return expr?.exprKind.case === 'identExpr' && expr.exprKind.value.name === name
}

/**
 * The check of an expression at the time it is written: size, syntax, nesting of macros, unknown variables and functions,
 * literals out of range, a result that can never be a map. An empty source passes: the device has no expression yet.
 */
export function createPayloadConversionChecker(): PayloadConversionChecker {
  return {
    check(source) {
      if (source === '') return { ok: true }
      const result = checkSource(source)
      return result.ok ? { ok: true } : result
    },
  }
}
