import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { codeOf, systemReason, UserError } from '../../config/errors.ts'

export interface NewFolder {
  /** The end of an error message, which says what to do. */
  readonly advice?: string
  /** The mode, from which the umask is subtracted. Default: for this user only. */
  readonly mode?: number
}

/**
 * Creates a folder with its parents; existing ones keep their mode. Throws a UserError. `mkdirSync` with `recursive` never returns where
 * the system answers ENOENT although the parent exists, such as in /proc.
 */
export function createFolder(path: string, folder: NewFolder = {}): void {
  if (existsSync(path)) return
  const parent = dirname(path)
  if (parent !== path) createFolder(parent, folder)
  const { advice, mode = 0o700 } = folder
  try {
    mkdirSync(path, { mode })
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return
    const problem = `cannot create the folder ${path}: ${systemReason(error)}`
    throw new UserError(advice === undefined ? problem : `${problem}; ${advice}`)
  }
}
