import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { nearestName } from '../../config/nearest-name.ts'
import { isProgram } from './program.ts'

/** The maximum number of folders that a message lists. */
const MAX_LISTED = 5
/** A shorter name resembles too many programs: `tsc` is not a misspelt `tac`. */
const MIN_LENGTH = 4
const MAX_EDITS = 2

/** Describes a program that none of the absolute `folders` of PATH contains, with the most similar program. */
export function describeMissingProgram(command: string, folders: readonly string[]): string {
  const existing = [...new Set(folders)].flatMap((folder) => entriesOf(folder) ?? [])
  const similar = similarProgram(command, existing)
  const hint = similar === null ? '' : `; did you mean "${similar}"?`
  return `"${command}" was not found on PATH (searched ${describeFolders(existing.map(({ path }) => path))})${hint}`
}

function describeFolders(folders: readonly string[]): string {
  if (folders.length === 0) return 'no folder, because none of PATH exists'
  return folders.length <= MAX_LISTED ? folders.join(', ') : `${folders.length} folders`
}

interface Folder {
  readonly path: string
  readonly names: readonly string[]
}

function entriesOf(path: string): readonly Folder[] | null {
  try {
    return [{ path, names: readdirSync(path) }]
  } catch {
    return null
  }
}

/** Returns the program whose name differs by a typing mistake; the first letter is the same. */
function similarProgram(command: string, folders: readonly Folder[]): string | null {
  if (command.length < MIN_LENGTH) return null
  const isCandidate = (name: string) =>
    name[0] === command[0] && Math.abs(name.length - command.length) <= MAX_EDITS && name !== command
  const programs = folders.flatMap(({ path, names }) =>
    names.filter((name) => isCandidate(name) && isProgram(join(path, name))),
  )
  return nearestName(command, programs, MAX_EDITS)
}
