/** What is wrong with a CEL expression, and where: line and column count from 1. */
export interface PayloadConversionFault {
  readonly ok: false
  readonly line: number
  readonly column: number
  readonly message: string
}

/** Compiles an end device's CEL expression without running it. Never throws: what is wrong is the answer. */
export interface PayloadConversionChecker {
  check(source: string): { readonly ok: true } | PayloadConversionFault
}
