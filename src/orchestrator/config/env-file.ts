import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { describeFileError } from './file-error.ts'

/** The variables of a file of `NAME=value` lines, or why there are none; a problem holds no line of the file, only its number. */
export type EnvFile =
  | { readonly ok: true; readonly variables: Readonly<Record<string, string>> }
  | { readonly ok: false; readonly problem: string }

const assignment = /^\s*(?:export\s+)?[A-Za-z_][\w.-]*\s*=\s*(.*)$/

/** Reads and checks an environment file: comments with `#`, quotes and `export` as people know them from dotenv. */
export function readEnvFile(path: string): EnvFile {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    return { ok: false, problem: `"${path}" ${describeFileError(error)}` }
  }
  const problem = problemIn(text)
  if (problem !== null) return { ok: false, problem: `"${path}" ${problem}` }
  const variables = Object.entries(parseEnv(text)).map(([name, value]) => [name, value ?? ''] as const)
  return { ok: true, variables: Object.fromEntries(variables) }
}

/** What parseEnv would silently skip or misread. */
function problemIn(text: string): string | null {
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
