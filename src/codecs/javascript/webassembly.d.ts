// The part of the WebAssembly API that is used here: it is declared in TypeScript's "dom" library only, not for Node.js.
declare namespace WebAssembly {
  type ModuleImports = Readonly<Record<string, Memory | ((...args: never[]) => unknown)>>

  interface Module {
    readonly [Symbol.toStringTag]: string
  }
  const Module: new (bytes: Uint8Array) => Module

  class Instance {
    constructor(module: Module, imports: Readonly<Record<string, ModuleImports>>)
    readonly exports: Readonly<Record<string, unknown>>
  }

  class Memory {
    constructor(descriptor: { readonly initial: number; readonly maximum: number })
    readonly buffer: ArrayBuffer
    grow(pages: number): number
  }

  class RuntimeError extends Error {}
}
