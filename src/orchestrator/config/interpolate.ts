/** The text with its names replaced, or, if `problems` is not empty, what keeps that from being done. */
export interface Interpolated {
  readonly text: string
  readonly problems: readonly string[]
}

const variable = /[A-Za-z_][A-Za-z0-9_]*/y
const malformed = '"${" begins no ${NAME} or ${NAME:-default}; write $${ where a plain ${ is meant'

/**
 * Replaces `${NAME}` and `${NAME:-default}` (the default counts if the name is unset or empty, and may hold names itself);
 * `$${` stands for a plain `${`. Every other `$` stays as it is. A problem never holds a value, only names.
 * `withheld`: names that are set, but not for this text.
 */
export function interpolate(
  text: string,
  lookup: (name: string) => string | undefined,
  withheld: ReadonlySet<string> = new Set(),
): Interpolated {
  const reader = new Interpolation(text, lookup, withheld)
  const result = reader.read(false, true)
  return { text: result, problems: [...new Set(reader.problems)] }
}

class Interpolation {
  readonly problems: string[] = []
  readonly #text: string
  readonly #lookup: (name: string) => string | undefined
  readonly #withheld: ReadonlySet<string>
  #at = 0

  constructor(text: string, lookup: (name: string) => string | undefined, withheld: ReadonlySet<string>) {
    this.#withheld = withheld
    this.#text = text
    this.#lookup = lookup
  }

  /** Reads to the end, or, within a default, to its `}`. `counts`: whether the result is used, so that its names must be set. */
  read(nested: boolean, counts: boolean): string {
    let result = ''
    while (this.#at < this.#text.length) {
      if (nested && this.#text[this.#at] === '}') break
      if (this.#take('$${')) result += '${'
      else if (this.#take('${')) result += this.#variable(counts)
      else result += this.#text[this.#at++]
    }
    return result
  }

  #variable(counts: boolean): string {
    variable.lastIndex = this.#at
    const name = variable.exec(this.#text)?.[0] ?? ''
    this.#at += name.length
    if (name !== '' && this.#take('}')) return this.#plain(name, counts)
    if (name === '' || !this.#take(':-')) return this.#malformed()
    const isDefault = counts && (this.#lookup(name) ?? '') === ''
    const fallback = this.read(true, isDefault)
    if (!this.#take('}')) return this.#malformed()
    return isDefault || !counts ? fallback : (this.#lookup(name) ?? '')
  }

  #plain(name: string, counts: boolean): string {
    if (!counts) return ''
    const value = this.#lookup(name)
    if (value === undefined && this.#withheld.has(name)) {
      this.problems.push(`\${${name}} is for the orchestrator alone; give processes a variable of another name`)
    } else if (value === undefined) {
      this.problems.push(`\${${name}} is not set and has no default; set ${name}, or write \${${name}:-default}`)
    }
    return value ?? ''
  }

  #malformed(): string {
    this.problems.push(malformed)
    return ''
  }

  #take(expected: string): boolean {
    if (!this.#text.startsWith(expected, this.#at)) return false
    this.#at += expected.length
    return true
  }
}
