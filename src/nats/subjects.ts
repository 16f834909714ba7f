/** Whether every subject that `filter` matches is matched by `pattern` too; both may have the wildcards `*` and `>`. */
export function covers(pattern: string, filter: string): boolean {
  const wide = pattern.split('.')
  const narrow = filter.split('.')
  for (const [index, token] of wide.entries()) {
    const other = narrow[index]
    if (other === undefined) return false
    if (token === '>') return true
    if (other === '>') return false
    if (token !== '*' && token !== other) return false
  }
  return wide.length === narrow.length
}

/** A subject that can be published to: no wildcard, no empty token, no white space or control character. */
export function isPublishable(subject: string): boolean {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return !/[\s\u0000-\u001f\u007f*>]|^\.|\.\.|\.$|^$/u.test(subject)
}
