import { DurationSchema, TimestampSchema } from '@bufbuild/protobuf/wkt'
import { CelScalar, listType, mapType, objectType, type CelType } from '@bufbuild/cel'
import { VARIABLES } from './environment.ts'
import { callOf } from './functions/overloads.ts'
import { CheckError, isVariable, qualifiedName, type Expr, type ExprNode } from './syntax-tree.ts'

const { BOOL, BYTES, DOUBLE, DYN, INT, NULL, STRING, TYPE, UINT } = CelScalar
const LIST = listType(DYN)
/** Message types that functions accept; the values of all others are known at run time only, such as a wrapped number. */
const EXACT_MESSAGES: ReadonlyMap<string, CelType> = new Map(
  [TimestampSchema, DurationSchema].map((schema) => [schema.typeName, objectType(schema)]),
)
const LOGICAL = new Map([
  ['_&&_', '&&'],
  ['_||_', '||'],
])

type Scope = ReadonlyMap<string, CelType>

/**
 * Infers the types of an expression and throws a CheckError where no value can have a type that is accepted. `dyn` is any value:
 * metadata, JSON, and what this check does not know, so an expression that can succeed passes.
 */
export function checkTypes(root: Expr): void {
  const types = new Map<bigint, CelType>()
  new TypeChecker(types).typeOf(root, new Map())
  requireResultType(root, types)
}

/** Requires a map, or a list of readings, which are maps. */
function requireResultType(expr: Expr | undefined, types: ReadonlyMap<bigint, CelType>): void {
  if (expr === undefined) return
  const { exprKind } = expr
  if (exprKind.case === 'callExpr' && exprKind.value.function === '_?_:_')
    return exprKind.value.args.slice(1).forEach((branch) => requireResultType(branch, types))
  const type = types.get(expr.id) ?? DYN
  if (isMapOrUnknown(type) || (type.kind === 'list' && isMapOrUnknown(type.element))) return
  const name = type.kind === 'list' ? `list(${type.element.name})` : type.name
  throw new CheckError(
    expr.id,
    `the result must be a map such as {"temperature": 21.5} or a list of readings, not ${name}`,
  )
}

function isMapOrUnknown(type: CelType): boolean {
  return isUnknown(type) || type.kind === 'map'
}

class TypeChecker {
  readonly #types: Map<bigint, CelType>

  constructor(types: Map<bigint, CelType>) {
    this.#types = types
  }

  typeOf(expr: Expr | undefined, scope: Scope): CelType {
    if (expr === undefined) return DYN
    const type = this.#infer(expr, scope)
    this.#types.set(expr.id, type)
    return type
  }

  #infer(expr: Expr, scope: Scope): CelType {
    const { exprKind } = expr
    switch (exprKind.case) {
      case 'constExpr':
        return constantType(exprKind.value)
      case 'identExpr':
        return nameType(exprKind.value.name, scope)
      case 'selectExpr':
        return this.#select(expr, exprKind.value, scope)
      case 'callExpr':
        return this.#call(expr, exprKind.value, scope)
      case 'listExpr':
        return listType(common(exprKind.value.elements.map((element) => this.typeOf(element, scope))))
      case 'structExpr':
        return this.#struct(exprKind.value, scope)
      case 'comprehensionExpr':
        return this.#comprehension(exprKind.value, scope)
      case undefined:
        return DYN
    }
  }

  #select(expr: Expr, select: ExprNode<'selectExpr'>, scope: Scope): CelType {
    const name = qualifiedName(expr)
    if (name?.startsWith('google.protobuf.') === true) return DYN
    const operand = this.typeOf(select.operand, scope)
    if (!isUnknown(operand) && operand.kind !== 'map')
      throw new CheckError(expr.id, `${operand.name} has no fields, such as "${select.field}"`)
    if (select.testOnly) return BOOL
    return operand.kind === 'map' ? operand.value : DYN
  }

  #call(expr: Expr, call: ExprNode<'callExpr'>, scope: Scope): CelType {
    const types = call.args.map((argument) => this.typeOf(argument, scope))
    const [first = DYN, second = DYN, third = DYN] = types
    if (call.function === '_[_]') return indexType(expr, first)
    if (call.function === '@not_strictly_false') return BOOL
    if (call.function === '_?_:_') {
      requireBool(call.args[0] ?? expr, first, 'the condition of "?"')
      return common([second, third])
    }
    const logical = LOGICAL.get(call.function)
    if (logical === undefined) return this.#function(expr, call, types, scope)
    types.forEach((type, index) => requireBool(call.args[index] ?? expr, type, `an operand of "${logical}"`))
    return BOOL
  }

  #function(expr: Expr, call: ExprNode<'callExpr'>, types: readonly CelType[], scope: Scope): CelType {
    const { name, overloads, target } = callOf(call)
    const targetType = target === undefined ? undefined : this.typeOf(target, scope)
    const fitting = overloads.filter(
      (overload) =>
        overload.arguments.length === types.length &&
        overload.arguments.every((parameter, index) => accepts(parameter, types[index] ?? DYN)) &&
        (overload.target === undefined
          ? targetType === undefined
          : targetType !== undefined && accepts(overload.target, targetType)),
    )
    if (fitting.length === 0) throw new CheckError(expr.id, noOverload(name, targetType, types))
    return common(fitting.map((overload) => overload.result))
  }

  #struct(struct: ExprNode<'structExpr'>, scope: Scope): CelType {
    const values = struct.entries.map((entry) => {
      if (entry.keyKind.case === 'mapKey') this.typeOf(entry.keyKind.value, scope)
      return this.typeOf(entry.value, scope)
    })
    if (struct.messageName === '') return mapType(DYN, common(values))
    return EXACT_MESSAGES.get(struct.messageName.replace(/^\./, '')) ?? DYN
  }

  #comprehension(value: ExprNode<'comprehensionExpr'>, scope: Scope): CelType {
    const range = this.typeOf(value.iterRange, scope)
    if (!isUnknown(range) && range.kind !== 'list' && range.kind !== 'map')
      throw new CheckError(value.iterRange?.id ?? 0n, `${range.name} cannot be iterated, only a list or a map`)
    const element = range.kind === 'list' ? range.element : range.kind === 'map' ? range.key : DYN
    const inner = new Map(scope)
    inner.set(value.accuVar, this.typeOf(value.accuInit, scope))
    if (value.iterVar !== '') inner.set(value.iterVar, element)
    this.typeOf(value.loopCondition, inner)
    this.typeOf(value.loopStep, inner)
    return this.typeOf(value.result, inner)
  }
}

function constantType({ constantKind }: ExprNode<'constExpr'>): CelType {
  switch (constantKind.case) {
    case 'boolValue':
      return BOOL
    case 'bytesValue':
      return BYTES
    case 'doubleValue':
      return DOUBLE
    case 'int64Value':
      return INT
    case 'uint64Value':
      return UINT
    case 'stringValue':
      return STRING
    case 'nullValue':
      return NULL
    case 'durationValue':
    case 'timestampValue':
    case undefined:
      return DYN
  }
}

function nameType(name: string, scope: Scope): CelType {
  const local = scope.get(name)
  if (local !== undefined) return local
  const global = name.replace(/^\./, '')
  return isVariable(global) ? VARIABLES[global] : TYPE
}

function indexType(expr: Expr, type: CelType): CelType {
  if (type.kind === 'list') return type.element
  if (type.kind === 'map') return type.value
  if (isUnknown(type)) return DYN
  const hint = type === BYTES ? '; read a byte with uint8(b, index)' : ''
  throw new CheckError(expr.id, `${type.name} cannot be indexed${hint}`)
}

function requireBool(expr: Expr, type: CelType, subject: string): void {
  if (!accepts(BOOL, type)) throw new CheckError(expr.id, `${subject} must be bool, not ${type.name}`)
}

function isUnknown(type: CelType): boolean {
  return type === DYN || (type.kind === 'object' && !EXACT_MESSAGES.has(type.name))
}

function accepts(parameter: CelType, type: CelType): boolean {
  return isUnknown(parameter) || isUnknown(type) || parameter.name === type.name
}

/** Returns the type of a value that has one of these types. */
function common(types: readonly CelType[]): CelType {
  const [first] = types
  if (first === undefined) return DYN
  if (types.some((type) => isUnknown(type) || type.name !== first.name)) return DYN
  if (types.length === 1) return first
  if (first.kind === 'list') return LIST
  return first.kind === 'map' ? mapType(DYN, DYN) : first
}

function noOverload(name: string, target: CelType | undefined, types: readonly CelType[]): string {
  const [left, right] = types.map((type) => type.name)
  const operator = /^_(.+)_$/.exec(name)?.[1] ?? /^@(in)$/.exec(name)?.[1]
  if (operator !== undefined) {
    const isNumeric = types.every((type) => type === INT || type === UINT || type === DOUBLE)
    const hint = isNumeric ? `; convert one side, such as ${left === 'double' ? right : left} with double(…)` : ''
    return `${left} ${operator} ${right} does not exist${hint}`
  }
  const form = `${target === undefined ? '' : `${target.name}.`}${name}(${types.map((type) => type.name).join(', ')})`
  const hint =
    target === undefined && types[0] === BYTES ? '; read numbers with uint8(b, index), int16be(b, index) …' : ''
  return `${form.replace(/^(.*)_\(/, '$1(')} does not exist${hint}`
}
