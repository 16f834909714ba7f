const variable = /\$\$(\{)?|\$\{(\w+)(?::?([-?])([^}]*))?\}|\$([A-Za-z_]\w*)|\$\{/g

/**
 * Translates the variables of Compose to those of the file: `$NAME` and `${NAME}`, which can be unset, defaults, and `$$` for a
 * literal `$`. Other forms become literal text.
 */
export function variablesForFile(text: string): string {
  return text.replaceAll(
    variable,
    (found, brace?: string, name?: string, sign?: string, rest?: string, short?: string) => {
      if (found.startsWith('$$')) return brace === undefined ? '$' : '$${'
      if (short !== undefined) return `\${${short}:-}`
      if (name === undefined) return '$${'
      return sign === '?' ? `\${${name}}` : `\${${name}:-${rest ?? ''}}`
    },
  )
}

/** Translates `$$` in a line for the shell, which replaces variables itself. */
export function variablesForShell(line: string): string {
  return line.replaceAll('$$', '$')
}
