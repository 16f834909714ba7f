import type { Variables } from '../../config/variables.ts'

export type EnvFile = string | { readonly path: string; readonly required: false }

/** The key `watch` of a process. */
export interface Watch {
  readonly paths: readonly string[]
  readonly ignore?: readonly string[]
}

/** The folder of a source. Paths are relative to it. */
export interface ProjectFolder {
  readonly name: string
  readonly has: (path: string) => boolean
  /** Throws a UserError if the file cannot be read. */
  readonly read: (path: string) => string
  /** Returns the variables of a file of `NAME=value` lines; null if there is none. Throws a UserError if it is invalid. */
  readonly readEnv: (path: string) => Variables | null
}

/** A process in the form of the file. */
export interface DraftProcess {
  readonly command: string
  readonly args?: readonly string[]
  readonly shell?: true
  readonly cwd?: string
  readonly env_file?: EnvFile | readonly EnvFile[]
  readonly watch?: Watch
  readonly [key: string]: unknown
}

/** The processes that a source describes. */
export interface Draft {
  readonly processes: ReadonlyMap<string, DraftProcess>
  /** What was not taken over, one sentence each, with the name of the process in front. */
  readonly notes: readonly string[]
  /** The key `env_file` of the file. */
  readonly envFile?: EnvFile
  /** Comments that show what can be added. */
  readonly hints?: readonly string[]
}

const shellSyntax = /[|&;<>()`$*?~#\n\\]|^\w+=|^\s*(?:exec|cd|export|set|source|\.)\s/
const quoted = /"[^"]*"|'[^']*'/g

/** Returns the command of a line: a program with arguments, or a line for the shell if it has syntax of the shell. */
export function commandOf(line: string): DraftProcess {
  const text = line.trim()
  if (needsShell(text)) return { command: text, shell: true }
  const words = text.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? []
  const [command = text, ...args] = words.map((word) => word.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2'))
  const [flag, inner] = args
  if (/^(?:\/bin\/)?sh$/.test(command) && flag === '-c' && inner !== undefined && args.length === 2) {
    return { command: inner, shell: true }
  }
  return args.length === 0 ? { command } : { command, args }
}

/** Splits a command line into words with quotes and backslashes, as a shell does, without other syntax of the shell. */
export function splitWords(line: string): readonly string[] {
  const words = line.match(/(?:\\[^]|"(?:\\[^]|[^"\\])*"|'[^']*'|[^\s"'\\])+/g) ?? []
  return words.map((word) =>
    word.replaceAll(
      /\\([^])|"((?:\\[^]|[^"\\])*)"|'([^']*)'/g,
      (_, escaped?: string, double?: string, single?: string) =>
        escaped ?? double?.replaceAll(/\\(["\\$`])/g, '$1') ?? single ?? '',
    ),
  )
}

/** Returns whether a line has syntax of the shell outside of quotes, variables in double quotes, or an open quote. */
function needsShell(text: string): boolean {
  const unquoted = text.replaceAll(quoted, '')
  const expanded = (text.match(quoted) ?? []).some((part) => part.startsWith('"') && /[$`\\]/.test(part))
  return /["']/.test(unquoted) || shellSyntax.test(unquoted) || expanded || text.startsWith('"') || text.startsWith("'")
}

/** Returns a name that the file allows, and that is not taken. */
export function freeName(wanted: string, taken: ReadonlyMap<string, unknown>): string {
  const allowed = wanted.replaceAll(/[^\w.:-]+/g, '-').replace(/^[^A-Za-z0-9_]+/, '')
  const name = /^\d*$/.test(allowed) ? `process-${allowed || '1'}` : allowed
  let free = name
  for (let number = 2; taken.has(free); number += 1) free = `${name}-${number}`
  return free
}
