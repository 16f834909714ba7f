/** The reason of a failed connection. A name with several addresses fails with one error that holds one for each. */
export function describeConnectError(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(describeConnectError).join('; ')
  return error instanceof Error ? error.message : String(error)
}
