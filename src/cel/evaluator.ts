import { parentPort, workerData } from 'node:worker_threads'
import { isCelError, plan, type CelResult } from '@bufbuild/cel'
import type { JsonObject } from '../domain/entities.ts'
import { environment, INPUT_VARIABLE, resetBuildBudget } from './environment.ts'
import { resultToJson } from './result-json.ts'
import { checkSource, type ParsedSource } from './static-check.ts'
import {
  currentThread,
  standBack,
  Stopwatch,
  Progress,
  type JobMessage,
  type WorkerMessage,
  type WorkerSetup,
} from './worker-protocol.ts'

/** What became of one payload. The reason is one line, fit for a dead letter: where in the expression, and what. */
export type Evaluation =
  /** `size`: about how many bytes of JSON the data are. */
  | { readonly ok: true; readonly data: JsonObject; readonly size: number }
  | { readonly ok: false; readonly reason: string }

type Program = (payload: Uint8Array) => Evaluation

/** Most compiled expressions that are kept, … */
const MAX_EXPRESSIONS = 1000
/** … and most characters of their sources: a compiled expression takes up to 350 bytes for each. */
const MAX_SOURCE_CHARACTERS = 65_536

/** Evaluates expressions in this thread, without a time limit. Compiles each source once and keeps the latest used. */
export class Evaluator {
  readonly #programs = new Map<string, Program>()
  #characters = 0

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
    if (known !== undefined) {
      this.#programs.delete(source)
      this.#programs.set(source, known)
      return known
    }
    const program = compile(source)
    this.#programs.set(source, program)
    this.#characters += source.length
    this.#forgetOldest()
    return program
  }

  #forgetOldest(): void {
    for (const source of this.#programs.keys()) {
      if (this.#programs.size <= MAX_EXPRESSIONS && this.#characters <= MAX_SOURCE_CHARACTERS) return
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
    if (!isCelError(result)) return { ok: true, ...resultToJson(result) }
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

/** Results of more bytes than this are sent before the next evaluation starts. */
const PART_BYTES = 1024 * 1024

/** The whole life of a worker thread: says that it is ready, then evaluates the jobs it is sent, one after the other. */
export function serveEvaluations(): void {
  const setup: WorkerSetup = workerData
  standBack(setup.niceness)
  const progress = new Progress(setup.progress)
  const evaluator = new Evaluator()
  progress.idle()
  parentPort?.on('message', (job: JobMessage) => {
    runJob(job, evaluator, progress, setup.slowMs)
    progress.idle()
  })
  send({ kind: 'ready', thread: currentThread() })
}

function runJob(job: JobMessage, evaluator: Evaluator, progress: Progress, slowMs: number): void {
  let evaluations: Evaluation[] = []
  let size = 0
  const slow = new Map<number, number>()
  const stopwatch = new Stopwatch()
  for (const [index, end] of job.ends.entries()) {
    progress.start(index, stopwatch.start())
    const source = job.sources[job.sourceOf[index] ?? -1] ?? ''
    const evaluation = evaluator.evaluate(source, job.payloads.subarray(job.ends[index - 1] ?? 0, end))
    evaluations.push(evaluation)
    const tookMs = stopwatch.read(slowMs)
    if (tookMs > slowMs) {
      slow.set(index, tookMs)
      break
    }
    size += evaluation.ok ? evaluation.size : 0
    if (size > PART_BYTES) {
      send({ kind: 'part', evaluations })
      evaluations = []
      size = 0
    }
  }
  send({ kind: 'done', evaluations, slow })
}

function send(message: WorkerMessage): void {
  parentPort?.postMessage(message, [])
}
