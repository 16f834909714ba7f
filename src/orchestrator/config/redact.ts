import { isAmbiguous, isSecretFlag, isSecretName } from './secret-names.ts'

/** Finds the end of a secret value in its text: the offset, or `start` if there is no value. */
type ValueEnd = (text: string, start: number, name: string) => number

/*
 * A pattern matches a name, which is its group 1, up to the value. Each begins where no name can continue, so that the time is
 * proportional to the text.
 */
const named: readonly { readonly pattern: RegExp; readonly isFlag: boolean; readonly endOf: ValueEnd }[] = [
  // NAME=value, "NAME": value, --name=value
  { pattern: /(?<![\w.$-])([\w.$-]+)["'`]?\s*[:=]\s*/g, isFlag: false, endOf: endOfAssigned },
  // "--name", value
  { pattern: /["'`](--?[\w-]+)["'`]\s*,\s*/g, isFlag: true, endOf: endOfRest },
  // --name value
  { pattern: /(?<![\w-])(--?[A-Za-z][\w-]*)[ \t]+/g, isFlag: true, endOf: endOfWord },
]

interface Span {
  readonly start: number
  readonly end: number
}

/**
 * Returns the parts of a text that look like secrets, in order and without overlap: the values of secret names in `NAME=value`,
 * `"NAME": value`, `"--name", value` and `--name value`, and passwords in URLs. It covers invalid texts and prefers false positives.
 * `secretNames`: those of the configuration, beside the usual ones.
 */
export function secretSpans(text: string, secretNames: readonly string[] = []): readonly Span[] {
  const found = [...namedSpans(text, secretNames), ...urlSpans(text)]
  const spans: Span[] = []
  for (const span of found.filter(({ start, end }) => end > start).sort((a, b) => a.start - b.start)) {
    const last = spans.at(-1)
    if (last === undefined || span.start >= last.end) spans.push(span)
    else if (span.end > last.end) spans[spans.length - 1] = { start: last.start, end: span.end }
  }
  return spans
}

/** Finds passwords in `scheme://user:password@host` and `user:password@host`: they end at the last `@` and can contain others. */
function urlSpans(text: string): readonly Span[] {
  return [...text.matchAll(/[^\s"'`]+/g)].flatMap(({ 0: word, index }) => [
    ...passwordSpan(word, index, /:\/\/[^:/@]*:/),
    ...[...word.matchAll(/[^/]+/g)].flatMap((part) => passwordSpan(part[0], index + part.index, /[^:@]:/)),
  ])
}

/** Returns the span of the password in a word at `offset`; `user` matches the text up to the password. */
function passwordSpan(word: string, offset: number, user: RegExp): readonly Span[] {
  const end = word.lastIndexOf('@')
  const match = end === -1 ? null : user.exec(word)
  return match === null ? [] : [{ start: offset + match.index + match[0].length, end: offset + end }]
}

function namedSpans(text: string, secretNames: readonly string[]): readonly Span[] {
  return named.flatMap(({ pattern, isFlag, endOf }) => {
    const spans: Span[] = []
    let masked = 0
    for (const match of text.matchAll(pattern)) {
      const [all, name = ''] = match
      const start = match.index + all.length
      // A name within a value has the same end, unless its value is on another line.
      if (start < masked) continue
      if (!(isFlag ? isSecretFlag(name, secretNames) : isSecretName(name, secretNames))) continue
      masked = endOf(text, start, name)
      spans.push({ start, end: masked })
    }
    return spans
  })
}

function endOfAssigned(text: string, start: number, name: string): number {
  // A quote that ends the text is not a value.
  const onlyQuote = /["'`]?\s*$/y
  onlyQuote.lastIndex = start
  if (onlyQuote.test(text)) return start
  if (isPort(text, start) && (isAmbiguous(name) || text.startsWith('//', start - name.length - 3))) return start
  if (isAmbiguous(name) && text[start] === '{') return start
  return endOfRest(text, start)
}

/** Returns whether a port begins here that directly follows a name, as in `auth:8080`. */
function isPort(text: string, start: number): boolean {
  return /[\w-]:$/.test(text.slice(start - 2, start)) && /^\d{1,5}(?![\w.-])/.test(text.slice(start, start + 6))
}

/** A value in a text that may have wrong quotes ends at the next key of its line, or with the line. */
function endOfRest(text: string, start: number): number {
  const lineBreak = text.indexOf('\n', start)
  const line = text.slice(start, lineBreak === -1 ? text.length : lineBreak)
  const nextKey = line.search(/,\s*["'][^"'\n]*["']\s*:/)
  if (nextKey !== -1) return start + line.slice(0, nextKey).trimEnd().length
  let end = line.length
  while (end > 0 && /[\s}\],]/.test(line[end - 1] ?? '')) end -= 1
  return start + end
}

/** A value after a flag is a word in quotes or without spaces; another flag is not a value. */
function endOfWord(text: string, start: number): number {
  const word = /"[^"\n]*"?|'[^'\n]*'?|(?!--)[^\s"'`]+/y
  word.lastIndex = start
  return start + (word.exec(text)?.[0] ?? '').length
}

/** Replaces every secret in a text with `***`. */
export function redact(text: string, secretNames: readonly string[] = []): string {
  return maskRange(text, secretSpans(text, secretNames), 0, text.length)
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

/** The variables of a process, and the `secret_names` of its configuration. */
export interface SecretContext {
  readonly env: Readonly<Record<string, string>>
  readonly secretNames: readonly string[]
}

/** The minimum length of a secret value within a text: a shorter value can be a common word. */
const MIN_SECRET_LENGTH = 6
/** Values of variables such as AUTH_ENABLED, which are too common to be masked in other texts. */
const SWITCHES: ReadonlySet<string> = new Set(['', '0', '1', 'false', 'no', 'off', 'on', 'true', 'yes'])

/** The values of secret variables, which interpolation may have copied into other texts. */
export class SecretValues {
  readonly #values: readonly string[]
  readonly #parts: readonly string[]

  constructor({ env, secretNames }: SecretContext) {
    const values = Object.entries(env).flatMap(([name, value]) =>
      !SWITCHES.has(value.toLowerCase()) && isSecretName(name, secretNames) ? [value] : [],
    )
    this.#values = values.toSorted((a, b) => b.length - a.length)
    this.#parts = this.#values.filter(({ length }) => length >= MIN_SECRET_LENGTH)
  }

  /** Returns whether the whole text is a secret value. */
  has(text: string): boolean {
    return this.#values.includes(text)
  }

  /** Replaces the values in a text, except short ones, with `***`. */
  mask(text: string): string {
    return this.#parts.reduce((masked, value) => masked.replaceAll(value, '***'), text)
  }
}

/** Replaces the values of secret variables in a text, and what looks like a secret, with `***`. */
export function redactValues(text: string, context: SecretContext): string {
  return redact(new SecretValues(context).mask(text), context.secretNames)
}
