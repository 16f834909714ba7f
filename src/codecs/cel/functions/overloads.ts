import type { CelFunc } from '@bufbuild/cel'
import { environment } from '../environment.ts'
import { qualifiedName, type Expr, type ExprNode } from '../syntax-tree.ts'

export interface FunctionCall {
  /** The name with its namespace, such as `math.ceil`. */
  readonly name: string
  /** The overloads of the name; none if it is unknown. */
  readonly overloads: readonly CelFunc[]
  /** The value whose method is called; undefined for a function. */
  readonly target: Expr | undefined
}

/** Resolves the function of a call as the planner does: `a.f(x)` is the function `a.f`, if it exists, else the method `f` of `a`. */
export function callOf(call: ExprNode<'callExpr'>): FunctionCall {
  const namespace = call.target === undefined ? undefined : qualifiedName(call.target)
  const qualified = namespace === undefined ? undefined : `${namespace}.${call.function}`
  const functions = qualified === undefined ? undefined : environment.funcs.find(qualified)
  if (qualified !== undefined && functions !== undefined)
    return { name: qualified, overloads: [...functions], target: undefined }
  const overloads = environment.funcs.find(call.function) ?? []
  return { name: call.function, overloads: [...overloads], target: call.target }
}
