import { existsSync } from 'node:fs'
import { delimiter, join, resolve, sep } from 'node:path'
import { nearestFile } from './source/nearest-file.ts'

/** The commands with which package managers run an installed program, by the name that they write to npm_config_user_agent. */
const runners: Readonly<Record<string, string>> = { npm: 'npx', pnpm: 'pnpm exec', yarn: 'yarn', bun: 'bunx' }

const NAME = 'ponix-orchestrator'
/** The folder of the programs that a project has installed. */
const INSTALLED = `${join('node_modules', '.bin')}${sep}`

interface Caller {
  /** The file that the command uses; null: the one that is used without `--config`. */
  readonly config?: string | null
  readonly environment?: NodeJS.ProcessEnv
  /** The path by which this program was started. */
  readonly program?: string
}

/**
 * Returns a command line of this program for a message, such as `npx ponix-orchestrator down`: with the package manager that has
 * started this program, or with npx if it was started by a path in `node_modules/.bin` and is not on PATH; with `--config` if `config`
 * is not the file that is used without it.
 */
export function ownCommand(
  args: string,
  { config = null, environment = process.env, program = process.argv[1] ?? '' }: Caller = {},
): string {
  const runner = runnerOf(environment) ?? (program.includes(INSTALLED) && !isOnPath(environment) ? 'npx' : null)
  const option = config === null || resolve(config) === resolve(nearestFile()) ? null : `--config ${shellWord(config)}`
  return [runner, NAME, args, option].filter((part) => part !== null && part !== '').join(' ')
}

function runnerOf(environment: NodeJS.ProcessEnv): string | null {
  if (environment['npm_command'] === undefined && environment['npm_execpath'] === undefined) return null
  const [agent = ''] = (environment['npm_config_user_agent'] ?? '').split('/')
  return runners[agent] ?? 'npx'
}

function isOnPath(environment: NodeJS.ProcessEnv): boolean {
  const folders = (environment['PATH'] ?? '').split(delimiter)
  return folders.some((folder) => folder !== '' && existsSync(join(folder, NAME)))
}

/** Quotes a word for a POSIX shell, if it needs quotes. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
