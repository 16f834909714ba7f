import { isCelError, plan } from '@bufbuild/cel'
import type { CelResult } from '@bufbuild/cel'
import type { JsonObject } from '../domain/gateway.ts'
import { environment, INPUT_VARIABLE, resetBuildBudget } from './environment.ts'
import { resultToJson } from './result-json.ts'
import { checkSource } from './static-check.ts'
import type { ParsedSource } from './syntax-tree.ts'

/** What became of one payload. The reason is one line, fit for a dead letter: where in the expression, and what. */
export type Evaluation =
  | { readonly ok: true; readonly data: JsonObject }
  | { readonly ok: false; readonly reason: string }

type Program = (payload: Uint8Array) => Evaluation

const DEFAULT_MAX_EXPRESSIONS = 1000

/** Evaluates expressions in this thread, without a time limit. Compiles each source once and keeps the latest used. */
export class Evaluator {
  readonly #programs = new Map<string, Program>()
  readonly #maxExpressions: number

  constructor(maxExpressions = DEFAULT_MAX_EXPRESSIONS) {
    this.#maxExpressions = maxExpressions
  }

  /** Never throws but for what takes the whole thread down. */
  evaluate(source: string, payload: Uint8Array): Evaluation {
    return this.#program(source)(payload)
  }

  /** How many compiled expressions are kept. */
  get size(): number {
    return this.#programs.size
  }

  #program(source: string): Program {
    const known = this.#programs.get(source)
    if (known !== undefined) this.#programs.delete(source)
    const program = known ?? compile(source)
    this.#programs.set(source, program)
    if (this.#programs.size > this.#maxExpressions) {
      const [oldest] = this.#programs.keys()
      if (oldest !== undefined) this.#programs.delete(oldest)
    }
    return program
  }
}

function compile(source: string): Program {
  const checked = checkSource(source)
  if (!checked.ok) {
    const reason = `line ${checked.line}, column ${checked.column}: ${checked.message}`
    return () => ({ ok: false, reason })
  }
  const run = plan(environment, checked.parsed.tree)
  return (payload) => evaluate(checked.parsed, run, payload)
}

function evaluate(
  parsed: ParsedSource,
  run: (bindings: { [INPUT_VARIABLE]: Uint8Array }) => CelResult,
  payload: Uint8Array,
): Evaluation {
  resetBuildBudget()
  try {
    const result = run({ [INPUT_VARIABLE]: payload })
    if (!isCelError(result)) return { ok: true, data: resultToJson(result) }
    return { ok: false, reason: `${place(parsed, result.exprId)}${oneLine(result.message)}` }
  } catch (error) {
    return { ok: false, reason: oneLine(error instanceof Error ? error.message : String(error)) }
  }
}

function place(parsed: ParsedSource, exprId: bigint | undefined): string {
  if (exprId === undefined) return ''
  const { line, column } = parsed.positionOf(exprId)
  return `line ${line}, column ${column}: `
}

function oneLine(message: string): string {
  const line = message.replaceAll(/\s+/g, ' ').trim()
  return line.length <= 500 ? line : `${line.slice(0, 499)}…`
}
