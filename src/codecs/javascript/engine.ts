import { sourceSizeError } from '../../domain/codecs/codec.ts'
import { isJsonList, isJsonObject } from '../../domain/entities.ts'
import { oneLine, type EnvelopeContext, type Evaluation, type Failure } from '../evaluation.ts'
import { Stopwatch } from '../pool/worker-protocol.ts'
import { importError, NO_MODULES, withoutExports } from './module-syntax.ts'
import { REPLY, STACK_SEPARATOR } from './sandbox-protocol.ts'
import { MEMORY_LIMIT_MB, ProgramError, Sandbox, type Image, type RunInput } from './sandbox.ts'

const DEFAULT_TIME_LIMIT_MS = 250
const MAX_IMAGES = 1000
const MAX_IMAGE_BYTES = 32 * 1024 * 1024

export interface JavaScriptEngineOptions {
  /** Processor time of one call. */
  readonly timeLimitMs?: number
}

export type JavaScriptCheck = { readonly ok: true } | Failure

type Loaded = { readonly image: Image; readonly size: number } | { readonly failure: Failure; readonly size: number }

/**
 * Runs codecs in JavaScript (TS013-1.0.0) in the calling thread. Nothing that a call leaves behind is visible to a later call. Loaded
 * codecs are kept in an LRU cache. QuickJS is loaded with the first codec.
 */
export class JavaScriptEngine {
  readonly #timeLimitMs: number
  readonly #loaded = new Map<string, Loaded>()
  #loadedBytes = 0
  #sandbox: Sandbox | undefined
  /** Measures the running call; started by the first check, so that a short call does not pay for it. */
  #stopwatch: Stopwatch | undefined
  #isOverTime = false

  constructor({ timeLimitMs = DEFAULT_TIME_LIMIT_MS }: JavaScriptEngineOptions = {}) {
    this.#timeLimitMs = timeLimitMs
  }

  /** Decodes a payload. Without a context, the port is 0 and the time of receipt 1970. */
  decode(source: string, payload: Uint8Array, context?: EnvelopeContext): Evaluation {
    const loaded = this.#load(source)
    if ('failure' in loaded) return loaded.failure
    const input: RunInput = {
      payload,
      fPort: context?.uplink?.fPort ?? 0,
      receivedAtMs: context === undefined ? 0 : Number(context.receivedAt / 1000n),
      normalize: context?.normalize ?? true,
    }
    const result = this.#guard((sandbox) => sandbox.run(loaded.image, input))
    if ('reason' in result) return result
    const { value, size, warnings } = result
    if (!isJsonList(value) && !isJsonObject(value)) return { ok: false, reason: 'the data is not an object or a list' }
    return warnings === undefined ? { ok: true, data: value, size } : { ok: true, data: value, warnings, size }
  }

  /** Loads a codec without running its function: checks its size, its syntax, what it does at the top level, and its function. */
  check(source: string): JavaScriptCheck {
    const loaded = this.#load(source)
    return 'failure' in loaded ? loaded.failure : { ok: true }
  }

  #load(source: string): Loaded {
    const known = this.#loaded.get(source)
    if (known !== undefined) {
      this.#loaded.delete(source)
      this.#loaded.set(source, known)
      return known
    }
    const loaded = this.#loadFresh(source)
    this.#loaded.set(source, loaded)
    this.#loadedBytes += loaded.size
    for (const [oldest, { size }] of this.#loaded) {
      if (this.#loaded.size <= MAX_IMAGES && this.#loadedBytes <= MAX_IMAGE_BYTES) break
      this.#loaded.delete(oldest)
      this.#loadedBytes -= size
    }
    return loaded
  }

  #loadFresh(source: string): Loaded {
    const tooLong = sourceSizeError({ kind: 'javascript', source })
    if (tooLong !== undefined) return { failure: { ok: false, reason: tooLong }, size: source.length }
    const first = this.#guard((sandbox) => sandbox.load(source))
    const script = isSyntaxError(first) ? withoutExports(source) : undefined
    const result = script === undefined ? first : this.#guard((sandbox) => sandbox.load(script))
    if (!('reason' in result))
      return { image: result, size: source.length + result.heap.length + result.variables.length }
    const imported = isSyntaxError(result) ? importError(source) : undefined
    return { failure: imported === undefined ? result : { ok: false, reason: imported }, size: source.length }
  }

  /** Runs a step in the sandbox; returns the failure if it fails. */
  #guard<T extends object>(step: (sandbox: Sandbox) => T): T | Failure {
    this.#stopwatch = undefined
    this.#isOverTime = false
    const sandbox = (this.#sandbox ??= new Sandbox(() => this.#isOver()))
    try {
      return step(sandbox)
    } catch (error) {
      if (!(error instanceof ProgramError)) sandbox.recover()
      return this.#failureOf(error)
    } finally {
      if (!sandbox.isReusable) this.#sandbox = undefined
    }
  }

  /** Returns whether the running call exceeded its time. */
  #isOver(): boolean {
    if (this.#stopwatch === undefined) {
      this.#stopwatch = new Stopwatch()
      this.#stopwatch.start()
    }
    this.#isOverTime ||= this.#stopwatch.read(this.#timeLimitMs) >= this.#timeLimitMs
    return this.#isOverTime
  }

  #failureOf(error: unknown): Failure {
    if (this.#isOverTime)
      return { ok: false, reason: `the codec ran longer than ${this.#timeLimitMs} ms`, exceeded: 'time' }
    if (error instanceof RangeError) return STACK_EXCEEDED
    if (!(error instanceof ProgramError)) throw error
    if (error.message === '') return MEMORY_EXCEEDED
    const text = error.message.slice(1)
    if (error.message.startsWith(REPLY.failure)) return { ok: false, reason: oneLine(text) }
    return failureOfException(text)
  }
}

const STACK_EXCEEDED = {
  ok: false,
  reason: 'the codec exceeded the stack: it calls functions too deeply, perhaps without end',
  exceeded: 'stack',
} as const

const MEMORY_EXCEEDED = {
  ok: false,
  reason: `the codec used more than ${MEMORY_LIMIT_MB} MB of memory`,
  exceeded: 'memory',
} as const

function isSyntaxError(result: object): boolean {
  return 'reason' in result && String(result.reason).includes('SyntaxError: ')
}

/** Returns what an exception means: a limit, or its position and text. */
function failureOfException(text: string): Failure {
  const [message = '', stack = ''] = text.split(STACK_SEPARATOR)
  if (message === 'InternalError: out of memory') return MEMORY_EXCEEDED
  if (/^(?:InternalError: stack overflow|RangeError: Maximum call stack size exceeded)$/.test(message))
    return STACK_EXCEEDED
  const [, line, column] = /codec\.js:(\d+)(?::(\d+))?/.exec(stack) ?? []
  const position = line === undefined ? '' : `line ${line}${column === undefined ? '' : `, column ${column}`}: `
  const hint = /'require' is not defined/.test(message) ? `; ${NO_MODULES}` : ''
  return { ok: false, reason: oneLine(`${position}${message}${hint}`) }
}
