import { accessSync, closeSync, constants, openSync, readSync, statSync, type Stats } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import type { ResolvedProcess } from '../../config/resolved.ts'

/** The parts of a definition that determine where its program is searched. */
export type ProgramSearch = Pick<ResolvedProcess, 'command' | 'cwd' | 'env'>

/** Returns the absolute path of a program; null if there is none that can be executed. */
export function findProgram(search: ProgramSearch): string | null {
  return candidates(search).find(isProgram) ?? null
}

/** Returns the absolute paths at which a command is searched, in order. */
export function candidates(search: ProgramSearch): string[] {
  const { command, cwd } = search
  if (command.includes('/')) return [resolve(cwd, command)]
  return searchFolders(search).map((folder) => join(folder, command))
}

/** Returns the absolute paths of the folders of PATH. */
export function searchFolders({ cwd, env }: Omit<ProgramSearch, 'command'>): string[] {
  const folders = (env['PATH'] ?? '/bin:/usr/bin').split(delimiter).filter((folder) => folder !== '')
  return folders.map((folder) => resolve(cwd, folder))
}

/** Returns the status of a file; null if it does not exist or cannot be reached. */
export function statOf(path: string): Stats | null {
  try {
    return statSync(path)
  } catch {
    return null
  }
}

/** Returns whether a file can be executed. */
export function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** Returns the interpreter in the first line of a script; null if there is none. */
export function interpreterOf(path: string): string | null {
  try {
    const file = openSync(path, 'r')
    try {
      const start = Buffer.alloc(256)
      const bytes = readSync(file, start, 0, start.length, 0)
      return /^#!\s*(\S+)/.exec(start.toString('utf8', 0, bytes))?.[1] ?? null
    } finally {
      closeSync(file)
    }
  } catch {
    return null
  }
}
