import { QuickJs, type Pointer } from './quickjs.ts'
import { BUFFER_PRELUDE } from './buffer-prelude.ts'
import { DECLARED, PRELUDE } from './prelude.ts'
import { CELL, PAYLOAD_CAPACITY, PAYLOAD_OFFSET, REPLY } from './sandbox-protocol.ts'
import { readResult, type ReadResult } from './result-reader.ts'

/** The memory of the programs: code, data and results. */
export const MEMORY_LIMIT_MB = 16
/** The stack of the programs in the memory of the instance; the stack of the thread must be larger. */
const STACK_BYTES = 192 * 1024
/** The addresses of the memory's parts are those of the exact version in package.json; the constructor checks them. */
const LAYOUT = {
  /** Constants are before, variables of the C program between this and the stack. */
  variables: 0x15_000,
  stackBytes: 5 * 1024 * 1024,
  /** The variable of the allocator with the address after which the heap is unused. */
  heapTop: 88_284,
  /** The header of the unused part. */
  headerBytes: 16,
} as const

/** All intrinsic objects of JavaScript. */
const ALL_INTRINSICS = 0

const SOURCE_NAME = 'codec.js'

/** What a codec's program is after it has been loaded: a copy of the memory. */
export interface Image {
  readonly variables: Uint8Array
  readonly heap: Uint8Array
  /** Whether objects of the program can have a method toJSON, which only the slow way calls. */
  readonly usesToJson: boolean
}

export interface RunInput {
  readonly payload: Uint8Array
  readonly fPort: number
  readonly receivedAtMs: number
  readonly normalize: boolean
}

/** Pointers to the functions of the prelude. */
type Functions = Readonly<Record<'link' | 'run' | 'convert' | 'warnings' | 'describe', Pointer>>

/** A text that the prelude returned; its first character is one of REPLY. Or an exception that no program can catch. */
export class ProgramError extends Error {
  override readonly name = 'ProgramError'
}

/**
 * An instance of QuickJS that runs the programs of many codecs one after the other. The memory is set to the image of a program before
 * each run: nothing survives a run, and nothing in the memory has to be freed. Not reusable after an error other than a ProgramError;
 * but images are valid in every sandbox.
 */
export class Sandbox {
  readonly #quickJs: QuickJs
  readonly #stackTop: Pointer
  readonly #base: Image
  #nowMs = 0
  // Pointers to values in the memory of every image.
  #context: Pointer = 0
  #shared: Pointer = 0
  #undefined: Pointer = 0
  #arguments: Pointer = 0
  #functions: Functions = { link: 0, run: 0, convert: 0, warnings: 0, describe: 0 }

  /** `shouldInterrupt` is called regularly while a program runs; true stops it. */
  constructor(shouldInterrupt: () => boolean) {
    this.#quickJs = new QuickJs({ now: () => this.#nowMs, shouldInterrupt })
    this.#stackTop = this.#quickJs.call.stackSave()
    this.#functions = this.#boot()
    this.#base = this.#capture()
  }

  /** False if the memory has grown much: a new sandbox gives it back. */
  get isReusable(): boolean {
    return !this.#quickJs.hasGrown
  }

  /** Loads a codec; throws a ProgramError if it cannot be used. */
  load(source: string): Image {
    this.#nowMs = 0
    this.#restore(this.#base)
    if (source.includes('Buffer')) this.#evaluate(BUFFER_PRELUDE, 'buffer.js')
    this.#evaluate(source, SOURCE_NAME)
    const declared = this.#evaluate(DECLARED, 'declared.js')
    const problem = this.#text(this.#call(this.#functions.link, declared))
    if (problem !== '') throw new ProgramError(REPLY.failure + problem)
    return this.#capture(source.includes('toJSON'))
  }

  /** Runs a codec; throws a ProgramError if it returns no data. */
  run(image: Image, input: RunInput): ReadResult & { readonly warnings?: readonly string[] } {
    this.#nowMs = input.receivedAtMs
    this.#restore(image)
    const data = this.#call(this.#functions.run, this.#pass(input))
    const read = this.#readFast(data, image.usesToJson)
    if (typeof read?.value === 'string') throw new ProgramError(read.value)
    const result = read ?? { value: JSON.parse(this.#json(this.#functions.convert)), size: this.#cell(CELL.size) }
    if (this.#cell(CELL.hasWarnings) === 0) return result
    const warnings: readonly string[] = JSON.parse(this.#json(this.#functions.warnings))
    return { ...result, warnings, size: result.size + this.#cell(CELL.size) }
  }

  /** Makes the sandbox usable after a trap, such as the end of the thread's stack. */
  recover(): void {
    this.#quickJs.call.stackRestore(this.#stackTop)
  }

  #boot(): Functions {
    const { call } = this.#quickJs
    const probe = call.malloc(64)
    const top = this.#quickJs.bytes.readUInt32LE(LAYOUT.heapTop)
    if (top < probe + 64 || top > probe + 96) throw new Error('the memory of QuickJS has an unknown layout')
    const runtime = call.QTS_NewRuntime()
    call.QTS_RuntimeSetMemoryLimit(runtime, MEMORY_LIMIT_MB * 1024 * 1024)
    call.QTS_RuntimeSetMaxStackSize(runtime, STACK_BYTES)
    call.QTS_RuntimeEnableInterruptHandler(runtime)
    this.#context = call.QTS_NewContext(runtime, ALL_INTRINSICS)
    this.#undefined = call.QTS_GetUndefined()
    this.#arguments = call.malloc(4)
    this.#shared = call.malloc(PAYLOAD_OFFSET + PAYLOAD_CAPACITY)
    const shared = call.QTS_NewArrayBuffer(this.#context, this.#shared, PAYLOAD_OFFSET + PAYLOAD_CAPACITY)
    const functions = this.#call(this.#evaluate(PRELUDE, 'prelude.js'), shared)
    const named = (name: string): Pointer => {
      const key = call.QTS_NewString(this.#context, this.#quickJs.newText(name).pointer)
      return call.QTS_GetProp(this.#context, functions, key)
    }
    return {
      link: named('link'),
      run: named('run'),
      convert: named('convert'),
      warnings: named('warnings'),
      describe: named('describe'),
    }
  }

  #capture(usesToJson = false): Image {
    const { bytes } = this.#quickJs
    const top = bytes.readUInt32LE(LAYOUT.heapTop) + LAYOUT.headerBytes
    return {
      variables: Uint8Array.prototype.slice.call(bytes, LAYOUT.variables, this.#stackTop - LAYOUT.stackBytes),
      heap: Uint8Array.prototype.slice.call(bytes, this.#stackTop, top),
      usesToJson,
    }
  }

  #restore({ variables, heap }: Image): void {
    this.#quickJs.bytes.set(variables, LAYOUT.variables)
    this.#quickJs.bytes.set(heap, this.#stackTop)
  }

  /** Writes the input to the shared buffer; returns the pointer to a buffer with a payload that it cannot hold. */
  #pass({ payload, fPort, receivedAtMs, normalize }: RunInput): Pointer | undefined {
    this.#setCell(CELL.payloadLength, payload.length)
    this.#setCell(CELL.fPort, fPort)
    this.#setCell(CELL.receivedAtMs, receivedAtMs)
    this.#setCell(CELL.normalize, normalize ? 1 : 0)
    if (payload.length <= PAYLOAD_CAPACITY) {
      this.#quickJs.bytes.set(payload, this.#shared + PAYLOAD_OFFSET)
      return undefined
    }
    const pointer = this.#quickJs.call.malloc(payload.length)
    this.#quickJs.bytes.set(payload, pointer)
    return this.#quickJs.call.QTS_NewArrayBuffer(this.#context, pointer, payload.length)
  }

  /** Returns the value in the binary format as JSON; undefined if it takes the slow way. */
  #readFast(value: Pointer, usesToJson: boolean): ReadResult | undefined {
    const { call } = this.#quickJs
    const encoded = call.QTS_bjson_encode(this.#context, value)
    if (call.QTS_ResolveException(this.#context, encoded) !== 0) return undefined
    const result = readResult(this.#quickJs.bytes, call.QTS_GetArrayBuffer(this.#context, encoded))
    return usesToJson && typeof result?.value !== 'string' ? undefined : result
  }

  /** Calls a function of the prelude that returns JSON and writes its size. */
  #json(run: Pointer): string {
    const reply = this.#text(this.#call(run))
    if (!reply.startsWith(REPLY.json)) throw new ProgramError(reply)
    return reply.slice(1)
  }

  #evaluate(source: string, name: string): Pointer {
    const { call } = this.#quickJs
    const code = this.#quickJs.newText(source)
    const file = this.#quickJs.newText(name)
    const result = call.QTS_Eval(this.#context, code.pointer, code.length, file.pointer, 0, 0)
    call.free(code.pointer)
    call.free(file.pointer)
    return this.#checked(result)
  }

  #call(run: Pointer, argument?: Pointer): Pointer {
    const { call, bytes } = this.#quickJs
    if (argument !== undefined) bytes.writeUInt32LE(argument, this.#arguments)
    const count = argument === undefined ? 0 : 1
    return this.#checked(call.QTS_Call(this.#context, run, this.#undefined, count, this.#arguments))
  }

  /** Returns the value; throws a ProgramError if it is an exception. */
  #checked(value: Pointer): Pointer {
    const { call } = this.#quickJs
    const exception = call.QTS_ResolveException(this.#context, value)
    if (exception === 0) return value
    this.#quickJs.bytes.writeUInt32LE(exception, this.#arguments)
    const text = call.QTS_Call(this.#context, this.#functions.describe, this.#undefined, 1, this.#arguments)
    const isFailed = call.QTS_ResolveException(this.#context, text) !== 0
    throw new ProgramError(isFailed ? `${REPLY.exception}uncatchable exception` : this.#text(text))
  }

  /** Reads a text; the empty text if there is no memory for it. */
  #text(value: Pointer): string {
    const pointer = this.#quickJs.call.QTS_GetString(this.#context, value)
    return pointer === 0 ? '' : this.#quickJs.textAt(pointer)
  }

  #cell(index: number): number {
    return this.#quickJs.bytes.readDoubleLE(this.#shared + index * 8)
  }

  #setCell(index: number, value: number): void {
    this.#quickJs.bytes.writeDoubleLE(value, this.#shared + index * 8)
  }
}
