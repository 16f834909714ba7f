import type { Variables } from '../../../config/variables.ts'

/** A variable in a text of a Compose file. */
interface Reference {
  readonly name: string
  /** Empty for `$NAME` and `${NAME}`. */
  readonly operator: '' | '-' | '?' | '+'
  /** True for `:-`, `:?` and `:+`, which treat an empty variable as an unset one. */
  readonly emptyIsUnset: boolean
  readonly operand: readonly Part[]
  /** The text of the reference. */
  readonly source: string
}
type Part = string | Reference

const plainReference = /\$([A-Za-z_]\w*)/y
const openReference = /\$\{([A-Za-z_]\w*)(?:(:?)([-?+])|(?=\}))/y

/** Splits a text into its literal parts, in which `$$` is a `$`, and its variables. Malformed variables are literal text. */
export function parseVariables(text: string): readonly Part[] {
  return readParts(text, 0, false).parts
}

function readParts(
  text: string,
  start: number,
  isOperand: boolean,
): { readonly parts: readonly Part[]; readonly end: number } {
  const parts: Part[] = []
  let literal = ''
  let at = start
  const end = isOperand ? '}' : null
  while (at < text.length && text[at] !== end) {
    const reference = readReference(text, at)
    if (reference === null) {
      literal += text[at]
      at += text.startsWith('$$', at) ? 2 : 1
      continue
    }
    if (literal !== '') parts.push(literal)
    literal = ''
    parts.push(reference)
    at += reference.source.length
  }
  if (literal !== '') parts.push(literal)
  return { parts, end: at }
}

function readReference(text: string, at: number): Reference | null {
  plainReference.lastIndex = at
  const [source, name] = plainReference.exec(text) ?? []
  if (source !== undefined && name !== undefined) {
    return { name, operator: '', emptyIsUnset: false, operand: [], source }
  }
  openReference.lastIndex = at
  const [opening, braced, colon, sign] = openReference.exec(text) ?? []
  if (opening === undefined || braced === undefined) return null
  const { parts: operand, end } = readParts(text, at + opening.length, true)
  if (text[end] !== '}') return null
  const operator = sign === '-' || sign === '?' || sign === '+' ? sign : ''
  return { name: braced, operator, emptyIsUnset: colon === ':', operand, source: text.slice(at, end + 1) }
}

/** Returns a reference without its operand, which can be secret. */
function shown({ name, operator, emptyIsUnset, source }: Reference): string {
  return operator === '' ? source : `\${${name}${emptyIsUnset ? ':' : ''}${operator}…}`
}

/** Translates the variables of a Compose file, and collects what the user must know about them. */
export class ComposeVariables {
  readonly #values: Variables
  readonly #used = new Set<string>()
  readonly #unset = new Set<string>()
  readonly #changed = new Map<string, string>()

  /** `values`: the variables of `.env`, which those of the shell override. */
  constructor(values: Variables) {
    this.#values = values
  }

  /** The names of the variables that the file references. */
  get used(): ReadonlySet<string> {
    return this.#used
  }

  /** Returns one sentence for each expression that has no exact counterpart, and one for the variables without a value. */
  get notes(): readonly string[] {
    const changed = Array.from(this.#changed, ([source, change]) => `${source} ${change}`)
    const names = [...this.#unset]
    if (names.length === 0) return changed
    const [first] = names
    const advice = `set ${names.length === 1 ? 'it' : 'them'} in .env, or write a default such as \${${first}:-x}`
    return [...changed, `${names.join(', ')}: not set in .env or the shell, and without a default; ${advice}`]
  }

  /** Records a variable that the processes inherit. */
  use(name: string): void {
    this.#used.add(name)
  }

  /** Returns the text in the form of the configuration file. */
  forFile(text: string): string {
    return this.#render(parseVariables(text))
  }

  /** Returns the text with the present values, for keys that cannot have variables. */
  evaluate(text: string): string {
    return this.#evaluate(parseVariables(text))
  }

  #render(parts: readonly Part[]): string {
    return parts.reduce<string>((text, part) => {
      if (typeof part === 'string') return text + part.replaceAll('${', () => '$${')
      const rendered = this.#renderReference(part)
      // "$${" is a literal "${", so that no variable can follow a "$".
      if (!text.endsWith('$') || !rendered.startsWith('${')) return text + rendered
      this.#changed.set(`$$${shown(part)}`, `became "$" and the present value of ${part.name}`)
      return text + this.#evaluate([part])
    }, '')
  }

  #renderReference(reference: Reference): string {
    const { name, operator, emptyIsUnset, operand } = reference
    const change = (text: string) => this.#changed.set(shown(reference), text)
    this.#used.add(name)
    const value = this.#values[name]
    if (operator === '+') {
      const isSet = this.#isSet(reference)
      change(isSet ? `became its text, because ${name} is set now` : `became empty, because ${name} is not set now`)
      return isSet ? this.#render(operand) : ''
    }
    if (operator === '-') {
      if (!emptyIsUnset && value === '') return `\${${name}}`
      const rendered = `\${${name}:-${this.#render(operand)}}`
      if (!emptyIsUnset) change(`became \${${name}:-…}, whose default also replaces an empty ${name}`)
      return rendered
    }
    if (value === undefined) this.#unset.add(name)
    if (operator === '?' && emptyIsUnset) change(`became \${${name}}, which can be empty`)
    return `\${${name}}`
  }

  #isSet({ name, emptyIsUnset }: Reference): boolean {
    const value = this.#values[name]
    return value !== undefined && !(emptyIsUnset && value === '')
  }

  #evaluate(parts: readonly Part[]): string {
    return parts.map((part) => (typeof part === 'string' ? part : this.#valueOf(part))).join('')
  }

  #valueOf(reference: Reference): string {
    const { name, operator, operand } = reference
    const value = this.#values[name]
    const isSet = this.#isSet(reference)
    if (operator === '+') return isSet ? this.#evaluate(operand) : ''
    if (operator === '-' && !isSet) return this.#evaluate(operand)
    if (value === undefined) this.#unset.add(name)
    return value ?? ''
  }
}

/** Returns whether a text has variables, which Compose replaces. */
export function hasVariables(text: string): boolean {
  return parseVariables(text).some((part) => typeof part !== 'string')
}

/** Returns the text without variables, in which `$$` is a `$`. */
export function literalText(text: string): string {
  return text.replaceAll('$$', '$')
}
