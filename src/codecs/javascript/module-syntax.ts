/**
 * Replaces the simple forms of `export` by text of the same length, so that the positions of errors are right: of functions and
 * variables, of a list of names, and the default export. Returns undefined if the source has no `export`.
 */
export function withoutExports(source: string): string | undefined {
  const replaced = source
    .replaceAll(/^[ \t]*export[ \t]+(?:default[ \t]+)?(?=(?:async[ \t]+)?(?:function|class|const|let|var)\b)/gm, blank)
    .replaceAll(/(?<=^[ \t]*|[;}][ \t]*)export[ \t]*\{[\w$\s,]*\}/gm, withoutExportList)
    .replaceAll(/^[ \t]*export[ \t]+default[ \t]/gm, 'module.exports =')
  return replaced === source ? undefined : replaced
}

/** Returns what is wrong if a source imports a module; undefined otherwise. */
export function importError(source: string): string | undefined {
  const lines = source.split('\n')
  const at = lines.findIndex((line) => /^[ \t]*import\b(?![ \t]*\()/.test(line))
  return at < 0 ? undefined : `line ${at + 1}: import: ${NO_MODULES}`
}

export const NO_MODULES = 'a codec is one file and cannot load modules'

/** Renamed names become properties of `exports`; the others are declared under their names. */
function withoutExportList(list: string): string {
  const prefix = 'exports={'
  // Text of the first renamed name makes room for the longer prefix: `a as b` becomes `b:a`.
  let width = list.indexOf('{') + 1 - prefix.length
  const names = list.slice(list.indexOf('{') + 1)
  const properties = names.replaceAll(/([\w$]+)[ \t]+as[ \t]+([\w$]+)/g, (text, name, exported) => {
    const property = `${exported}:${name}`.padEnd(text.length + width)
    width = 0
    return property
  })
  return properties === names ? blank(list) : prefix + properties
}

function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, ' ')
}
