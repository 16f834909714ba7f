/** Returns whether a text matches a pattern of `*` and `?`. Takes at most the product of both lengths, unlike a regular expression. */
export function matchesPattern(pattern: string, text: string): boolean {
  let [at, read] = [0, 0]
  /** The place after the last `*`, and the text that it does not cover yet. */
  let retry: { readonly at: number; read: number } | null = null
  while (read < text.length) {
    const expected = pattern[at]
    if (expected === '*') {
      at += 1
      retry = { at, read }
    } else if (expected === '?' || expected === text[read]) {
      at += 1
      read += 1
    } else if (retry === null) {
      return false
    } else {
      retry.read += 1
      at = retry.at
      read = retry.read
    }
  }
  return /^\**$/.test(pattern.slice(at))
}
