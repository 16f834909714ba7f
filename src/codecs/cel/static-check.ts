import { sourceSizeError } from '../../domain/codecs/codec.ts'
import type { PayloadConversionChecker } from '../../domain/ports.ts'
import { callOf } from './functions/overloads.ts'
import {
  CheckError,
  isVariable,
  parseSource,
  qualifiedName,
  type Expr,
  type ExprNode,
  type ParseResult,
  type ParsedSource,
} from './syntax-tree.ts'
import { checkTypes } from './type-check.ts'

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

/**
 * Checks what does not depend on a payload or on types: size, syntax, nesting, unknown variables and functions, and literals out of
 * range. Never throws.
 */
export function checkSource(source: string): ParseResult {
  const tooLong = sourceSizeError({ kind: 'cel', source })
  if (tooLong !== undefined) return { ok: false, line: 1, column: 1, message: tooLong }
  const result = parseSource(source)
  return result.ok ? checked(result.parsed, (root) => visit(root, { local: new Set(), depth: 0, macros: 0 })) : result
}

function checked(parsed: ParsedSource, check: (root: Expr) => void): ParseResult {
  try {
    check(parsed.tree.expr)
    return { ok: true, parsed }
  } catch (error) {
    if (!(error instanceof CheckError)) throw error
    return { ok: false, ...parsed.positionOf(error.id), message: error.message }
  }
}

/**
 * Creates a checker of new expressions, which also checks types. Expressions that are stored already are not checked again, because
 * one that fails for some payloads may succeed for others. An empty source passes: the device has no expression yet.
 */
export function createPayloadConversionChecker(): PayloadConversionChecker {
  return {
    check(source) {
      const syntax = source === '' ? undefined : checkSource(source)
      const result = syntax?.ok === true ? checked(syntax.parsed, checkTypes) : syntax
      return result?.ok === false ? result : { ok: true }
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

function checkConstant(expr: Expr, { constantKind: constant }: ExprNode<'constExpr'>): void {
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

function visitSelect(expr: Expr, select: ExprNode<'selectExpr'>, scope: Scope): void {
  const name = qualifiedName(expr)
  if (name !== undefined && KNOWN_NAMES.has(name)) return
  visit(select.operand, scope)
}

function visitCall(expr: Expr, call: ExprNode<'callExpr'>, scope: Scope): void {
  const name = call.function
  const isOperator = BUILT_IN_OPERATORS.has(name)
  if (!isOperator) checkFunction(expr, call)
  visit(isOperator ? call.target : callOf(call).target, scope)
  for (const argument of call.args) visit(argument, scope)
}

function checkFunction(expr: Expr, call: ExprNode<'callExpr'>): void {
  const { name, overloads, target } = callOf(call)
  if (overloads.length === 0) {
    const isMacro = MACROS.has(name)
    throw new CheckError(
      expr.id,
      isMacro ? `"${name}" is a macro; its arguments do not fit` : `unknown function "${name}"`,
    )
  }
  const isMethod = target !== undefined
  const fits = overloads.some(
    (overload) => (overload.target !== undefined) === isMethod && overload.arguments.length === call.args.length,
  )
  if (fits) return
  const form = `a ${isMethod ? 'method' : 'function'} with ${call.args.length} argument(s)`
  throw new CheckError(expr.id, `"${name}" does not exist as ${form}`)
}

function visitStruct(expr: Expr, struct: ExprNode<'structExpr'>, scope: Scope): void {
  if (struct.messageName !== '' && !MESSAGE_NAMES.has(struct.messageName.replace(/^\./, '')))
    throw new CheckError(expr.id, `unknown type "${struct.messageName}"`)
  for (const entry of struct.entries) {
    if (entry.keyKind.case === 'mapKey') visit(entry.keyKind.value, scope)
    visit(entry.value, scope)
  }
}

function visitComprehension(expr: Expr, value: ExprNode<'comprehensionExpr'>, scope: Scope): void {
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
