import { readFileSync, existsSync } from 'node:fs'
import { basename, delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseEnv } from 'node:util'
import { describeFileError } from './errors.ts'
import type { JsonPath } from './json-source.ts'
import type { ProblemList } from './problems.ts'
import { isSecretName, redact } from './redact.ts'

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

export interface Replaced {
  readonly text: string
  /** The variables that it is made of. */
  readonly names: ReadonlySet<string>
}

export interface ReplacementSurroundings {
  /** The orchestrator's own. */
  readonly environment: NodeJS.ProcessEnv
  readonly problems: ProblemList
}

/** The text at `path` with its names replaced; null if that cannot be done, which is a problem by then. */
export function replaceNames(text: string, path: JsonPath, around: ReplacementSurroundings): Replaced | null {
  const names = new Set<string>()
  const result = interpolate(text, (name) => {
    names.add(name)
    return around.environment[name]
  })
  for (const problem of result.problems) around.problems.add(path, problem)
  return result.problems.length === 0 ? { text: result.text, names } : null
}

/** For a message that says what was found; nothing of a variable that is called like a secret. */
export function showReplaced({ text, names }: Replaced): string {
  return [...names].some(isSecretName)
    ? 'a value that is not shown because it may be a secret'
    : JSON.stringify(redact(text))
}

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

/** Meant for the orchestrator itself, by its user, by systemd or by a supervisor above it: not passed on (O-42). */
const privateNames = new Set([
  'PONIX_CONTROL_TOKEN',
  'NOTIFY_SOCKET',
  'NOTIFY_FD',
  'WATCHDOG_USEC',
  'WATCHDOG_PID',
  'LISTEN_FDS',
  'LISTEN_PID',
  'LISTEN_FDNAMES',
])
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export type Variables = Readonly<Record<string, string>>

/**
 * What children inherit of the orchestrator's own environment, and what is withheld from them: `secretNames`, and what is
 * meant for the orchestrator itself.
 */
export function inheritedEnvironment(
  own: NodeJS.ProcessEnv,
  secretNames: ReadonlySet<string>,
): { readonly inherited: Variables; readonly withheld: ReadonlySet<string> } {
  const set = Object.entries(own).filter((entry): entry is [string, string] => entry[1] !== undefined)
  const isWithheld = (name: string) => privateNames.has(name) || secretNames.has(name)
  return {
    inherited: Object.fromEntries(set.filter(([name]) => !isWithheld(name))),
    withheld: new Set(set.flatMap(([name]) => (isWithheld(name) ? [name] : []))),
  }
}

/**
 * The folders that stand on the children's PATH before all others: `node_modules/.bin` of the configuration's folder and of
 * those above it, as npm has it, then this package's own programs.
 */
export function programFolders(configFolder: string): readonly string[] {
  const folders: string[] = []
  for (let folder = configFolder; ; folder = dirname(folder)) {
    if (basename(folder) !== 'node_modules') folders.push(join(folder, 'node_modules', '.bin'))
    if (dirname(folder) === folder) break
  }
  const root = packageRoot()
  const own = [
    join(root, 'dist', 'bin'),
    ...(basename(dirname(root)) === 'node_modules' ? [join(root, '..', '.bin')] : []),
  ]
  return [...folders, ...own.filter((folder) => !folders.includes(folder) && existsSync(folder))]
}

/** PATH with `folders` in front; a PATH that is unset or empty becomes the system's usual one. */
export function extendPath(folders: readonly string[], path: string | undefined): string {
  return [...folders, path === undefined || path === '' ? defaultPath : path].join(delimiter)
}

/** The folder of this package's package.json, found from this code upwards: it runs from src/ as well as bundled in dist/. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  for (;;) {
    if (manifestIn(folder)?.name === 'ponix-orchestrator') return folder
    const parent = dirname(folder)
    if (parent === folder) throw new Error('the package.json of ponix-orchestrator is missing; install it again')
    folder = parent
  }
}

/** The version of this package. */
export function packageVersion(): string {
  return manifestIn(packageRoot())?.version ?? 'unknown'
}

function manifestIn(folder: string): { name?: string; version?: string } | null {
  const path = join(folder, 'package.json')
  if (!existsSync(path)) return null
  const manifest: unknown = JSON.parse(readFileSync(path, 'utf8'))
  if (typeof manifest !== 'object' || manifest === null) return null
  const { name, version } = { name: undefined, version: undefined, ...manifest }
  return { ...(typeof name === 'string' && { name }), ...(typeof version === 'string' && { version }) }
}
