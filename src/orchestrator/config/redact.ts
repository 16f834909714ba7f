const secretWord = '(?:PASSWORD|TOKEN|SECRET|KEY)'
const secretName = new RegExp(secretWord, 'i')
/** The rest of a value in a text that may have wrong quotes: it ends at the next key of its line, or with the line. */
const restOfValue = `[^\\n]*?(?=\\s*,\\s*["'][^"'\\n]*["']\\s*:|[\\s}\\],]*(?:\\n|$))`
/** Patterns that capture the text before the secret, and the secret. */
const secrets = [
  new RegExp(`(["'\`]?[\\w.$-]*${secretWord}[\\w.-]*["'\`]?\\s*[:=]\\s*(?!["'\`]?\\s*$))(${restOfValue})`, 'gi'),
  new RegExp(`(["'\`]--?[\\w-]*${secretWord}[\\w-]*["'\`]\\s*,\\s*)(${restOfValue})`, 'gi'),
  /(:\/\/[^\s:/@"'`]*:)([^\s"'`]+)(?=@)/g,
  /([^\s:/@"'`]:)([^\s/"'`]+)(?=@)/g,
]

/** Returns whether the value of a variable, flag or key of this name is secret. */
export function isSecretName(name: string): boolean {
  return secretName.test(name)
}

interface Span {
  readonly start: number
  readonly end: number
}

/**
 * Returns the parts of a text that look like secrets, in order and without overlap: the values of secret names in `NAME=value`,
 * `"NAME": value` and `"--name", value`, and passwords in URLs. It covers invalid texts and prefers false positives.
 */
export function secretSpans(text: string): readonly Span[] {
  const found = secrets.flatMap((pattern) =>
    [...text.matchAll(pattern)].map((match) => {
      const start = match.index + (match[1] ?? '').length
      return { start, end: start + (match[2] ?? '').length }
    }),
  )
  const spans: Span[] = []
  for (const span of found.filter(({ start, end }) => end > start).sort((a, b) => a.start - b.start)) {
    const last = spans.at(-1)
    if (last === undefined || span.start >= last.end) spans.push(span)
    else if (span.end > last.end) spans[spans.length - 1] = { start: last.start, end: span.end }
  }
  return spans
}

/** Replaces every secret in a text with `***`. */
export function redact(text: string): string {
  return maskRange(text, secretSpans(text), 0, text.length)
}

/** Returns the text from `start` to `end` with the overlapping spans replaced by `***`. */
export function maskRange(text: string, spans: readonly Span[], start: number, end: number): string {
  let shown = ''
  let at = start
  for (const span of spans) {
    if (span.end <= start || span.start >= end) continue
    shown += `${text.slice(at, Math.max(at, span.start))}***`
    at = span.end
  }
  return shown + text.slice(at, Math.max(at, end))
}

/** The minimum length of a secret value within a text: a shorter value can be a common word. */
export const MIN_SECRET_LENGTH = 6

/** Replaces the values of secret variables in a text, and what looks like a secret, with `***`. */
export function redactValues(text: string, environment: Readonly<Record<string, string>>): string {
  const values = Object.entries(environment).flatMap(([name, value]) =>
    isSecretName(name) && value.length >= MIN_SECRET_LENGTH ? [value] : [],
  )
  const longestFirst = values.toSorted((a, b) => b.length - a.length)
  return redact(longestFirst.reduce((masked, value) => masked.replaceAll(value, '***'), text))
}
