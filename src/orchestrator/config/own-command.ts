import { resolve } from 'node:path'
import { nearestFile } from './source/nearest-file.ts'

/** The commands with which package managers run an installed program, by the name that they write to npm_config_user_agent. */
const runners: Readonly<Record<string, string>> = { npm: 'npx', pnpm: 'pnpm exec', yarn: 'yarn', bun: 'bunx' }

/**
 * Returns a command line of this program for a message, such as `npx ponix-orchestrator down`: with the package manager that has
 * started this program, and with `--config` if `config` is not the file that is used without it.
 */
export function ownCommand(
  args: string,
  { config = null, environment = process.env }: { config?: string | null; environment?: NodeJS.ProcessEnv } = {},
): string {
  const runner = runnerOf(environment)
  const option = config === null || resolve(config) === resolve(nearestFile()) ? null : `--config ${shellWord(config)}`
  return [runner, 'ponix-orchestrator', args, option].filter((part) => part !== null && part !== '').join(' ')
}

function runnerOf(environment: NodeJS.ProcessEnv): string | null {
  if (environment['npm_command'] === undefined && environment['npm_execpath'] === undefined) return null
  const [agent = ''] = (environment['npm_config_user_agent'] ?? '').split('/')
  return runners[agent] ?? 'npx'
}

/** Quotes a word for a shell, if it needs quotes. */
function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
