import { create } from '@bufbuild/protobuf'
import { TimestampSchema, type Timestamp } from '@bufbuild/protobuf/wkt'
import { celMap, isCelError, plan, type CelResult } from '@bufbuild/cel'
import type { Instant } from '../../domain/instant.ts'
import { oneLine, type EnvelopeContext, type Evaluation } from '../evaluation.ts'
import { resetBuildBudget } from './functions/build-budget.ts'
import { environment } from './environment.ts'
import { jsonToMap } from './functions/json-value.ts'
import { resultToJson } from './result-json.ts'
import { checkSource } from './static-check.ts'
import type { ParsedSource } from './syntax-tree.ts'

type Program = (payload: Uint8Array, context: EnvelopeContext | undefined) => Evaluation
type Run = ReturnType<typeof planOf>

const MAX_PROGRAMS = 1000
/** Limit for the sources of all compiled expressions, which take up to 350 bytes per character. */
const MAX_SOURCE_CHARACTERS = 65_536

/** Evaluates expressions in the calling thread without a time limit. Compiled expressions are kept in an LRU cache. */
export class Evaluator {
  readonly #programs = new Map<string, Program>()
  #characters = 0

  /** Evaluates an expression. Without a context, its variables have their defaults. Throws only errors that end the thread. */
  evaluate(source: string, payload: Uint8Array, context?: EnvelopeContext): Evaluation {
    return this.#program(source)(payload, context)
  }

  /** The number of compiled expressions in the cache. */
  get size(): number {
    return this.#programs.size
  }

  #program(source: string): Program {
    const cached = this.#programs.get(source)
    const program = cached ?? compile(source)
    if (cached === undefined) this.#characters += source.length
    else this.#programs.delete(source)
    this.#programs.set(source, program)
    if (cached === undefined) this.#evict()
    return program
  }

  #evict(): void {
    for (const source of this.#programs.keys()) {
      if (this.#programs.size <= MAX_PROGRAMS && this.#characters <= MAX_SOURCE_CHARACTERS) return
      this.#programs.delete(source)
      this.#characters -= source.length
    }
  }
}

function compile(source: string): Program {
  const checked = checkSource(source)
  if (!checked.ok) {
    const reason = `line ${checked.line}, column ${checked.column}: ${checked.message}`
    return () => ({ ok: false, reason })
  }
  const run = planOf(checked.parsed)
  return (payload, context) => evaluate(checked.parsed, () => run(bindingsOf(payload, context)))
}

function planOf({ tree }: ParsedSource) {
  return plan(environment, tree)
}

const NO_METADATA = celMap(new Map())
const EPOCH = create(TimestampSchema)

function bindingsOf(input: Uint8Array, context: EnvelopeContext | undefined): Parameters<Run>[0] {
  if (context === undefined) return { input, f_port: 0n, f_cnt: 0n, metadata: NO_METADATA, received_at: EPOCH }
  const { receivedAt, uplink } = context
  return {
    input,
    f_port: BigInt(uplink?.fPort ?? 0),
    f_cnt: BigInt(uplink?.fCnt ?? 0),
    metadata: uplink?.metadata === undefined ? NO_METADATA : jsonToMap(uplink.metadata),
    received_at: timestampOf(receivedAt),
  }
}

function timestampOf(instant: Instant): Timestamp {
  const micros = ((instant % 1_000_000n) + 1_000_000n) % 1_000_000n
  return create(TimestampSchema, { seconds: (instant - micros) / 1_000_000n, nanos: Number(micros) * 1000 })
}

function evaluate(parsed: ParsedSource, run: () => CelResult): Evaluation {
  resetBuildBudget()
  try {
    const result = run()
    if (!isCelError(result)) return { ok: true, ...resultToJson(result) }
    return { ok: false, reason: `${positionOf(parsed, result.exprId)}${oneLine(result.message)}` }
  } catch (error) {
    return { ok: false, reason: oneLine(error instanceof Error ? error.message : String(error)) }
  }
}

function positionOf(parsed: ParsedSource, exprId: bigint | undefined): string {
  if (exprId === undefined) return ''
  const { line, column } = parsed.positionOf(exprId)
  return `line ${line}, column ${column}: `
}
