import { sourceSizeError } from '../../domain/codecs/codec.ts'
import { isJsonList, isJsonObject } from '../../domain/entities.ts'
import { oneLine, type EnvelopeContext, type Evaluation } from '../evaluation.ts'
import { Stopwatch } from '../pool/worker-protocol.ts'
import { importError, NO_MODULES, withoutExports } from './module-syntax.ts'
import { REPLY, STACK_SEPARATOR } from './prelude.ts'
import { MEMORY_LIMIT_MB, ProgramError, Sandbox, type Image, type RunInput } from './sandbox.ts'

const DEFAULT_TIME_LIMIT_MS = 250
const MAX_IMAGES = 1000
const MAX_IMAGE_BYTES = 32 * 1024 * 1024

export interface JavaScriptEngineOptions {
  /** Processor time of one call. */
  readonly timeLimitMs?: number
}

export interface DecodeOptions {
  /** False: the result is that of decodeUplink, even if the codec has normalizeUplink. Default true. */
  readonly normalize?: boolean
}

export type JavaScriptCheck = { readonly ok: true } | { readonly ok: false; readonly reason: string }

type Loaded = { readonly image: Image; readonly size: number } | { readonly reason: string; readonly size: number }

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
  decode(source: string, payload: Uint8Array, context?: EnvelopeContext, options: DecodeOptions = {}): Evaluation {
    const loaded = this.#load(source)
    if ('reason' in loaded) return { ok: false, reason: loaded.reason }
    const input: RunInput = {
      payload,
      fPort: context?.uplink?.fPort ?? 0,
      receivedAtMs: context === undefined ? 0 : Number(context.receivedAt / 1000n),
      normalize: options.normalize ?? true,
    }
    const result = this.#guard((sandbox) => sandbox.run(loaded.image, input))
    if (typeof result === 'string') return { ok: false, reason: result }
    const { value, size, warnings } = result
    if (!isJsonList(value) && !isJsonObject(value)) return { ok: false, reason: 'the data is not an object or a list' }
    return warnings === undefined ? { ok: true, data: value, size } : { ok: true, data: value, warnings, size }
  }

  /** Loads a codec without running its function: checks its size, its syntax, what it does at the top level, and its function. */
  check(source: string): JavaScriptCheck {
    const loaded = this.#load(source)
    return 'reason' in loaded ? { ok: false, reason: loaded.reason } : { ok: true }
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
    if (tooLong !== undefined) return { reason: tooLong, size: source.length }
    const first = this.#guard((sandbox) => sandbox.load(source))
    const script = typeof first === 'string' && first.includes('SyntaxError: ') ? withoutExports(source) : undefined
    const result = script === undefined ? first : this.#guard((sandbox) => sandbox.load(script))
    if (typeof result !== 'string')
      return { image: result, size: source.length + result.heap.length + result.variables.length }
    const reason = result.includes('SyntaxError: ') ? (importError(source) ?? result) : result
    return { reason, size: source.length }
  }

  /** Runs a step in the sandbox; returns the reason if it fails. */
  #guard<T extends object>(step: (sandbox: Sandbox) => T): T | string {
    this.#stopwatch = undefined
    this.#isOverTime = false
    const sandbox = (this.#sandbox ??= new Sandbox(() => this.#isOver()))
    try {
      return step(sandbox)
    } catch (error) {
      if (!(error instanceof ProgramError)) sandbox.recover()
      return this.#reasonOf(error)
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

  #reasonOf(error: unknown): string {
    if (this.#isOverTime) return `the codec ran longer than ${this.#timeLimitMs} ms`
    if (error instanceof RangeError) return STACK_EXCEEDED
    if (!(error instanceof ProgramError)) throw error
    const text = error.message.slice(1)
    if (error.message.startsWith(REPLY.failure)) return oneLine(text)
    return reasonOfException(text)
  }
}

const STACK_EXCEEDED = 'the codec exceeded the stack: it calls functions too deeply, perhaps without end'

/** Returns the reason for an exception: the limit that it means, or its position and text. */
function reasonOfException(text: string): string {
  const [message = '', stack = ''] = text.split(STACK_SEPARATOR)
  if (message === '' || message === 'InternalError: out of memory')
    return `the codec used more than ${MEMORY_LIMIT_MB} MB of memory`
  if (/^(?:InternalError: stack overflow|RangeError: Maximum call stack size exceeded)$/.test(message))
    return STACK_EXCEEDED
  const [, line, column] = /codec\.js:(\d+)(?::(\d+))?/.exec(stack) ?? []
  const position = line === undefined ? '' : `line ${line}${column === undefined ? '' : `, column ${column}`}: `
  const hint = /'require' is not defined/.test(message) ? `; ${NO_MODULES}` : ''
  return oneLine(`${position}${message}${hint}`)
}
