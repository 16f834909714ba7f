import { existsSync, readFileSync } from 'node:fs'
import { basename, delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { redact } from './redact.ts'
import { isSecretName } from './secret-names.ts'

export type Variables = Readonly<Record<string, string>>

const variable = /[A-Za-z_][A-Za-z0-9_]*/y
const malformed = 'invalid "${": expected ${NAME} or ${NAME:-default}; write $${ for a literal ${'

export interface Interpolated {
  readonly text: string
  /** They contain names, never values. Without problems, the text is the result. */
  readonly problems: readonly string[]
  /** The variables in whose place the text has nothing. */
  readonly empty: ReadonlySet<string>
}

/**
 * Replaces `${NAME}` and `${NAME:-default}`. The default applies if the variable is unset or empty, and can contain
 * variables. `$${` is a literal `${`, any other `$` is unchanged.
 * `withheld`: variables that are set but must not be used in this text.
 */
export function interpolate(
  text: string,
  lookup: (name: string) => string | undefined,
  withheld: ReadonlySet<string> = new Set(),
): Interpolated {
  const problems = new Set<string>()
  const empty = new Set<string>()
  let at = 0
  const take = (expected: string): boolean => {
    if (!text.startsWith(expected, at)) return false
    at += expected.length
    return true
  }
  const fail = (problem: string): string => {
    problems.add(problem)
    return ''
  }
  /** Reads to the end or, within a default, to its `}`. Variables of an unused default can be unset. */
  const read = (isDefault: boolean, isUsed: boolean): string => {
    let result = ''
    while (at < text.length) {
      if (isDefault && text[at] === '}') break
      if (take('$${')) result += '${'
      else if (take('${')) result += readVariable(isUsed)
      else result += text[at++]
    }
    return result
  }
  const readVariable = (isUsed: boolean): string => {
    variable.lastIndex = at
    const name = variable.exec(text)?.[0] ?? ''
    at += name.length
    if (name !== '' && take('}')) return isUsed ? recordEmpty(name, valueOf(name)) : ''
    if (name === '' || !take(':-')) return fail(malformed)
    const value = isUsed ? (lookup(name) ?? '') : ''
    const fallback = read(true, isUsed && value === '')
    if (!take('}')) return fail(malformed)
    return isUsed ? recordEmpty(name, value || fallback) : ''
  }
  const recordEmpty = (name: string, value: string): string => {
    if (value === '') empty.add(name)
    return value
  }
  const valueOf = (name: string): string => {
    const value = lookup(name)
    if (value !== undefined) return value
    if (name === 'mqtt_broker') {
      return fail(
        '${mqtt_broker} is not set; add "mqtt_broker": "host:port" to the file, or use --mqtt-broker host:port',
      )
    }
    if (withheld.has(name)) {
      return fail(`\${${name}} is reserved for the orchestrator; use a variable with another name for processes`)
    }
    // A default of a secret would be a secret in the file.
    return isSecretName(name)
      ? fail(`\${${name}} is not set; set ${name} in the environment, or in an "env_file"`)
      : fail(`\${${name}} is not set and has no default; set ${name}, or write \${${name}:-default}`)
  }
  return { text: read(false, true), problems: [...problems], empty }
}

export interface Replaced {
  readonly text: string
  /** The variables used in the text. */
  readonly names: ReadonlySet<string>
  /** Those in whose place the text has nothing. */
  readonly empty: ReadonlySet<string>
  /** True if one of them is secret. */
  readonly isSecret: boolean
}

/** Returns the text for an error message, without values of secret variables. */
export function showReplaced({ text, isSecret }: Replaced): string {
  return isSecret ? 'a value that is not shown because it may be a secret' : JSON.stringify(redact(text))
}

/** Variables that address the orchestrator itself; children do not inherit them. */
const ownNames = [
  'PONIX_CONTROL_TOKEN',
  'NOTIFY_SOCKET',
  'NOTIFY_FD',
  'WATCHDOG_USEC',
  'WATCHDOG_PID',
  'LISTEN_FDS',
  'LISTEN_PID',
  'LISTEN_FDNAMES',
]

/** Splits the orchestrator's environment into inherited variables and withheld ones: `tokenVariables` and its own variables. */
export function inheritedEnvironment(
  own: NodeJS.ProcessEnv,
  tokenVariables: ReadonlySet<string>,
): { readonly inherited: Variables; readonly withheld: ReadonlySet<string> } {
  const set = Object.entries(own).filter((entry): entry is [string, string] => entry[1] !== undefined)
  const withheld = new Set([...ownNames.filter((name) => own[name] !== undefined), ...tokenVariables])
  return { inherited: Object.fromEntries(set.filter(([name]) => !withheld.has(name))), withheld }
}

/**
 * Returns the folders at the start of the children's PATH: `node_modules/.bin` of the configuration's folder and of its parents, as
 * with npm, then the programs of this package.
 */
export function programFolders(configFolder: string): readonly string[] {
  const folders = withParents(configFolder)
    .filter((folder) => basename(folder) !== 'node_modules')
    .map((folder) => join(folder, 'node_modules', '.bin'))
  const root = packageRoot()
  const own = [
    join(root, 'dist', 'bin'),
    ...(basename(dirname(root)) === 'node_modules' ? [join(root, '..', '.bin')] : []),
  ]
  return [...folders, ...own.filter((folder) => !folders.includes(folder) && existsSync(folder))]
}

/** The folders of programs of the system. */
export const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Returns PATH with `folders` in front; an unset or empty PATH becomes the system's default. */
export function extendPath(folders: readonly string[], path: string | undefined): string {
  return [...folders, path === undefined || path === '' ? SYSTEM_PATH : path].join(delimiter)
}

function withParents(folder: string): readonly string[] {
  const parent = dirname(folder)
  return parent === folder ? [folder] : [folder, ...withParents(parent)]
}

/** Returns the folder of this package's package.json, above this file both in src/ and in dist/. */
function packageRoot(): string {
  const folders = withParents(dirname(fileURLToPath(import.meta.url)))
  const root = folders.find((folder) => manifestIn(folder)?.name === 'ponix-orchestrator')
  if (root === undefined) throw new Error('the package.json of ponix-orchestrator is missing; install it again')
  return root
}

export function packageVersion(): string {
  return manifestIn(packageRoot())?.version ?? 'unknown'
}

function manifestIn(folder: string): { name?: string; version?: string } | null {
  const path = join(folder, 'package.json')
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : null
}
