import { existsSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

/** The name of the configuration file that is used without `--config`. */
export const DEFAULT_FILE = 'commonplace.json'

/**
 * Returns the relative path of the `commonplace.json` in the working directory, or of the nearest one in a folder above; the one in
 * the working directory if there is none. `exists` receives absolute paths.
 */
export function nearestFile(exists: (path: string) => boolean = existsSync): string {
  const path = findUpwards(process.cwd(), exists)
  return path === null ? DEFAULT_FILE : relative('', path)
}

function findUpwards(folder: string, exists: (path: string) => boolean): string | null {
  const path = join(folder, DEFAULT_FILE)
  if (exists(path)) return path
  const parent = dirname(folder)
  return parent === folder ? null : findUpwards(parent, exists)
}
