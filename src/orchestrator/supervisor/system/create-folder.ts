import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { codeOf, systemReason, UserError } from '../../config/errors.ts'

/**
 * Creates a folder for this user only, with its parents; existing ones keep their mode. Throws a UserError that ends with `advice`.
 * `mkdirSync` with `recursive` never returns where the system answers ENOENT although the parent exists, such as in /proc.
 */
export function createFolder(path: string, advice: string): void {
  if (existsSync(path)) return
  const parent = dirname(path)
  if (parent !== path) createFolder(parent, advice)
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return
    throw new UserError(`cannot create the folder ${path}: ${systemReason(error)}; ${advice}`)
  }
}
