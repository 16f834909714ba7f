import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { codeOf, describeFileError, UserError } from '../errors.ts'
import type { Variables } from '../variables.ts'

/**
 * Reads a file of `NAME=value` lines with `#` comments, quotes and `export`, as dotenv defines them. Returns null if it does not
 * exist. Throws a UserError, which contains line numbers, never the text of a line.
 */
export function readEnvFile(path: string): Variables | null {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return null
    throw new UserError(`"${path}" ${describeFileError(error)}`)
  }
  const problem = envFileProblem(text)
  if (problem !== null) throw new UserError(`"${path}" ${problem}`)
  return Object.fromEntries(Object.entries(parseEnv(text)).map(([name, value]) => [name, value ?? '']))
}

const assignment = /^\s*(?:export\s+)?[A-Za-z_][\w.-]*\s*=\s*(.*)$/

/** Returns a mistake that parseEnv silently skips or misreads; null if there is none. */
function envFileProblem(text: string): string | null {
  let open: { readonly quote: string; readonly line: number } | null = null
  for (const [index, line] of text.split('\n').entries()) {
    if (open !== null) {
      if (line.includes(open.quote)) open = null
      continue
    }
    if (/^\s*(?:#|$)/.test(line)) continue
    const value = assignment.exec(line.replace(/\r$/, ''))?.[1]
    if (value === undefined) return `line ${index + 1}: expected NAME=value, or a comment after "#"`
    const quote = /^["'`]/.exec(value)?.[0]
    if (quote !== undefined && !value.includes(quote, 1)) open = { quote, line: index + 1 }
  }
  return open === null ? null : `line ${open.line}: the quote that begins here is not closed`
}
