import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { codeOf, describeFileError, messageOf, UserError } from '../errors.ts'
import { folderOf, type JsonNode, type JsonPath } from '../source/json-source.ts'
import type { Problems } from '../source/problems.ts'
import type { EnvFileSetting } from '../schema/env-file.ts'
import type { Variables } from '../variables.ts'

export interface EnvFile {
  /** Absolute path. */
  readonly path: string
  readonly variables: Variables
}

interface EnvFileContext {
  /** The merged configuration files. */
  readonly root: JsonNode
  readonly problems: Problems
  /** Replaces the variables in the path of a file; null if that is not possible, which is reported. */
  readonly interpolate: (text: string, at: JsonPath) => string | null
  /** Called after each file, in their order; later files can use its variables in their paths. */
  readonly add: (file: EnvFile) => void
}

/** Reads the files of a key `env_file`. Returns false after a problem, so that the set of defined variables is unknown. */
export function readEnvFiles(setting: EnvFileSetting, path: JsonPath, context: EnvFileContext): boolean {
  const entries = [setting].flat().map((entry, index) => {
    const at = Array.isArray(setting) ? [...path, index] : path
    return typeof entry === 'string'
      ? { name: entry, at, isRequired: true }
      : { name: entry.path, at: [...at, 'path'], isRequired: entry.required }
  })
  const results = entries.map((entry) => readEntry(entry, context))
  return !results.includes(false)
}

function readEntry(
  { name, at, isRequired }: { readonly name: string; readonly at: JsonPath; readonly isRequired: boolean },
  { root, problems, interpolate, add }: EnvFileContext,
): boolean {
  const text = interpolate(name, at)
  if (text === null) return false
  const path = resolve(folderOf(root, at), text)
  try {
    const variables = readEnvFile(path)
    if (variables !== null) add({ path, variables })
    else if (isRequired)
      problems.add(at, `"${path}" does not exist; if it is optional, write {"path": …, "required": false}`)
    return variables !== null || !isRequired
  } catch (error) {
    problems.add(at, messageOf(error))
    return false
  }
}

/**
 * Reads a file of `NAME=value` lines with `#` comments, quotes and `export`, as dotenv defines them. Returns null if it does not
 * exist. Throws a UserError, which contains line numbers, never the text of a line.
 */
function readEnvFile(path: string): Variables | null {
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
