export type YamlValue = string | number | boolean | null | readonly YamlValue[] | YamlObject
/** A value; `undefined` omits the key. */
export interface YamlObject {
  readonly [key: string]: YamlValue | undefined
}

const plain = /^[A-Za-z/][\w./@-]*(?::[\w./@-]+)*$/
/** Strings that some YAML parsers read as another type. */
const reserved = /^(?:true|false|yes|no|on|off|y|n|null)$/i
/** JSON allows these characters in a string, YAML only as escapes. */
const unprintable = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g

/** Renders a document in block style, ending with a newline. It has the same meaning in YAML 1.1 and 1.2. */
export function renderYaml(value: YamlValue): string {
  return `${blockOf(value, 0).trimStart()}\n`
}

/** Returns the value; undefined if it is an empty list or object. */
export function unlessEmpty<T extends object>(value: T): T | undefined {
  return Object.keys(value).length === 0 ? undefined : value
}

/** Renders the text after a key or a hyphen: a scalar on the same line, a collection indented below it. */
function blockOf(value: YamlValue, indent: number): string {
  if (typeof value === 'string') return ` ${renderString(value)}`
  if (typeof value !== 'object' || value === null) return ` ${String(value)}`
  const pad = `\n${' '.repeat(indent)}`
  if (isList(value)) {
    return value.length === 0
      ? ' []'
      : value.map((item) => `${pad}-${blockOf(item, indent + 2).replace(/^\n +/, ' ')}`).join('')
  }
  const entries = Object.entries(value).filter((entry): entry is [string, YamlValue] => entry[1] !== undefined)
  if (entries.length === 0) return ' {}'
  return entries.map(([key, item]) => `${pad}${renderString(key)}:${blockOf(item, indent + 2)}`).join('')
}

function isList(value: YamlValue): value is readonly YamlValue[] {
  return Array.isArray(value)
}

function renderString(text: string): string {
  if (plain.test(text) && !reserved.test(text)) return text
  const escape = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  return JSON.stringify(text).replaceAll(unprintable, escape)
}
