import { existsSync } from 'node:fs'
import { basename, delimiter, dirname, join } from 'node:path'
import { packageRoot } from './package-root.ts'

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
