/** The limit of strings and bytes that one evaluation builds. Byte arrays are outside the heap, where the memory limit is void. */
const BUILD_BUDGET_BYTES = 16 * 1024 * 1024

let budget = BUILD_BUDGET_BYTES

/** Resets the budget before each evaluation. Evaluations are synchronous, so one counter per thread is enough. */
export function resetBuildBudget(): void {
  budget = BUILD_BUDGET_BYTES
}

/** Counts bytes that a function is about to build. Throws when the evaluation exceeds its budget. */
export function spend(bytes: number): void {
  budget -= bytes
  if (budget < 0) throw new Error(`the expression builds more than ${BUILD_BUDGET_BYTES} bytes of strings and bytes`)
}
