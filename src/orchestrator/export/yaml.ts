/** What YAML is made of. `undefined` leaves a key out. */
export type YamlValue =
  | string
  | number
  | boolean
  | null
  | readonly YamlValue[]
  | { readonly [key: string]: YamlValue | undefined }

const plain = /^[A-Za-z/][\w./@-]*(?::[\w./@-]+)*$/
/** Other things than strings, for one reader of YAML or another. */
const reserved = /^(?:true|false|yes|no|on|off|y|n|null)$/i
/** Not allowed as they are between the quotes of YAML, though JSON allows them. */
const unprintable = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g

/** A document in block style, ending with a newline. Every reader of YAML 1.1 and 1.2 reads the same from it. */
export function renderYaml(value: YamlValue): string {
  return `${blockOf(value, 0).trimStart()}\n`
}

/** What stands after a key or a hyphen: on the same line if it is small, else indented below it. */
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
  return JSON.stringify(text).replaceAll(unprintable, escapeUnit)
}

function escapeUnit(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
