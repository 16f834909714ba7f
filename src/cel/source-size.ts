/** The longest source, in bytes of UTF-8. */
const MAX_SOURCE_BYTES = 4096

/** What to say of a source that is too long; undefined for any other. */
export function sizeProblem(source: string): string | undefined {
  const size = Buffer.byteLength(source)
  if (size <= MAX_SOURCE_BYTES) return undefined
  return `the expression has ${size} bytes, at most ${MAX_SOURCE_BYTES} are allowed`
}
