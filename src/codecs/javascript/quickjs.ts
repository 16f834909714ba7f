import { readFileSync, existsSync } from 'node:fs'
import { createRequire } from 'node:module'

/** QuickJS as the build puts it beside the programs; in a clone, the file of the package. */
const builtFile = new URL('./quickjs.wasm', import.meta.url)
const PACKAGE_FILE = '@jitl/quickjs-wasmfile-release-sync/wasm'

/** 64 KiB each. The module requires the initial size; the heap of one codec fits into the maximum. */
const INITIAL_PAGES = 256
const MAX_PAGES = 768
const PAGE_BYTES = 65_536

const ESPIPE = 70
const ENOSYS = 52

/** A pointer into the memory of an instance. */
export type Pointer = number

/** Called by the program in an instance. */
export interface QuickJsHooks {
  /** Returns the time of the clock, in milliseconds since 1970. */
  now(): number
  /** Called regularly while a program runs; true stops it. */
  shouldInterrupt(): boolean
}

type WasmFunction = (...args: number[]) => number

/**
 * The exports that are used: name in C → name in the module. The names in the module are those of the exact version in package.json;
 * a test compares them with the package.
 */
export const EXPORTS = {
  malloc: 'v',
  free: 'M',
  stackSave: 'Oa',
  stackRestore: 'Ma',
  QTS_NewRuntime: 'K',
  QTS_NewContext: 'N',
  QTS_RuntimeSetMemoryLimit: 'y',
  QTS_RuntimeSetMaxStackSize: 'D',
  QTS_RuntimeEnableInterruptHandler: 'Fa',
  QTS_NewArrayBuffer: 'X',
  QTS_GetArrayBuffer: 'aa',
  QTS_NewString: '_',
  QTS_GetString: '$',
  QTS_GetUndefined: 'E',
  QTS_GetProp: 'ha',
  QTS_Call: 'ma',
  QTS_Eval: 'pa',
  QTS_ResolveException: 'na',
  QTS_bjson_encode: 'Ja',
} as const

type ExportName = keyof typeof EXPORTS

/** The imports that do something here: name in the module → its text in the package, for the test of the names. */
export const IMPORTS = {
  p: '()=>Date.now()',
  i: 'shouldInterrupt',
  k: 'grow',
  m: 'getSeconds',
  n: 'getTimezoneOffset',
} as const

let compiled: WebAssembly.Module | undefined

/** Compiles QuickJS on first use, which takes about 10 ms. */
function quickJsModule(): WebAssembly.Module {
  const path = existsSync(builtFile) ? builtFile : createRequire(import.meta.url).resolve(PACKAGE_FILE)
  compiled ??= new WebAssembly.Module(readFileSync(path))
  return compiled
}

/** An instance of QuickJS, with its memory. The program in it can reach nothing but the hooks. */
export class QuickJs {
  /** The memory; another object after the memory has grown. */
  bytes: Buffer
  readonly call: Readonly<Record<ExportName, WasmFunction>>
  readonly #memory: WebAssembly.Memory

  constructor(hooks: QuickJsHooks) {
    this.#memory = new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum: MAX_PAGES })
    this.bytes = Buffer.from(this.#memory.buffer)
    const instance = new WebAssembly.Instance(quickJsModule(), { a: this.#imports(hooks) })
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the exports of the package's module are functions
    const exported = instance.exports as Record<string, WasmFunction>
    // The initialization of the module.
    exported['u']?.()
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- one entry for each key of EXPORTS
    this.call = Object.fromEntries(Object.entries(EXPORTS).map(([name, short]) => [name, exported[short]])) as Record<
      ExportName,
      WasmFunction
    >
  }

  /** Returns whether the memory is larger than at first. It cannot shrink. */
  get hasGrown(): boolean {
    return this.bytes.length > INITIAL_PAGES * PAGE_BYTES
  }

  /** Copies a text to the heap, with a zero byte at the end; the caller frees it. */
  newText(text: string): { readonly pointer: Pointer; readonly length: number } {
    const encoded = Buffer.from(text)
    const pointer = this.call.malloc(encoded.length + 1)
    this.bytes.set(encoded, pointer)
    this.bytes[pointer + encoded.length] = 0
    return { pointer, length: encoded.length }
  }

  /** Reads a text that ends with a zero byte. */
  textAt(pointer: Pointer): string {
    return this.bytes.toString('utf8', pointer, this.bytes.indexOf(0, pointer))
  }

  /** Returns the functions of the module's interface: those of Emscripten's runtime and those of the package. */
  #imports(hooks: QuickJsHooks): WebAssembly.ModuleImports {
    const nothing = (): number => 0
    return {
      a: this.#memory,
      b: fail,
      q: fail,
      r: fail,
      // Output and input, environment, timers, and values of the host, which no program can have.
      c: nothing,
      d: () => ENOSYS,
      o: () => ESPIPE,
      e: nothing,
      f: nothing,
      g: nothing,
      h: nothing,
      j: nothing,
      l: nothing,
      s: nothing,
      t: nothing,
      p: () => hooks.now(),
      i: () => (hooks.shouldInterrupt() ? 1 : 0),
      k: (bytes: number) => this.#grow(bytes),
      // localtime and tzset: the zone is UTC.
      m: (_seconds: bigint, result: number) => void this.bytes.fill(0, result, result + 44),
      n: (zone: number, daylight: number, standardName: number, daylightName: number) => {
        for (const pointer of [zone, daylight, standardName, daylightName]) this.bytes.writeUInt32LE(0, pointer)
      },
    }
  }

  #grow(bytes: number): number {
    const missing = Math.ceil((bytes - this.bytes.length) / PAGE_BYTES)
    try {
      this.#memory.grow(missing)
    } catch {
      return 0
    }
    this.bytes = Buffer.from(this.#memory.buffer)
    return 1
  }
}

/** Ends the execution in the module: an assertion failed, or it called abort or exit. */
function fail(): never {
  throw new WebAssembly.RuntimeError('aborted')
}
