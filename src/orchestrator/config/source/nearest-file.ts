import { existsSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

/** The name of the configuration file that is used without `--config`. */
export const DEFAULT_FILE = 'commonplace.json'

interface Surroundings {
  /** Receives absolute paths. */
  readonly exists?: (path: string) => boolean
  readonly cwd?: string
  readonly uid?: number | undefined
}

/**
 * Returns the relative path of the `commonplace.json` in the working directory, or of the nearest one in a folder above; the one in
 * the working directory if there is none. A file above is used only if it belongs to this user or to root: in a folder such as
 * /tmp, another user could leave a file that runs commands as this user.
 */
export function nearestFile(given: Surroundings = {}): string {
  const { cwd, exists, uid } = complete(given)
  const found = filesUpwards(cwd, exists).find((path) => !isForeign(path, cwd, uid))
  return found === undefined ? DEFAULT_FILE : relative(cwd, found)
}

/** Returns the nearest `commonplace.json` in a folder above that is not used because it belongs to another user; or null. */
export function foreignFile(given: Surroundings = {}): string | null {
  const { cwd, exists, uid } = complete(given)
  const found = filesUpwards(cwd, exists).find((path) => isForeign(path, cwd, uid))
  return found === undefined ? null : relative(cwd, found)
}

function complete({ exists = existsSync, cwd = process.cwd(), uid = process.getuid?.() }: Surroundings) {
  return { exists, cwd, uid }
}

function filesUpwards(folder: string, exists: (path: string) => boolean): readonly string[] {
  const path = join(folder, DEFAULT_FILE)
  const parent = dirname(folder)
  const above = parent === folder ? [] : filesUpwards(parent, exists)
  return exists(path) ? [path, ...above] : above
}

function isForeign(path: string, cwd: string, uid: number | undefined): boolean {
  if (dirname(path) === cwd) return false
  const owner = statSync(path, { throwIfNoEntry: false })?.uid
  return owner !== undefined && owner !== 0 && owner !== uid
}
