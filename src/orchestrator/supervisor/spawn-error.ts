import { accessSync, constants, openSync, readSync, closeSync, statSync } from 'node:fs'
import { delimiter, resolve } from 'node:path'
import { codeOf, messageOf } from '../config/errors.ts'

export interface SpawnAttempt {
  readonly command: string
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
}

/** What is wrong with the folder that a process is to run in; null if nothing is. */
export function describeCwdProblem(cwd: string): string | null {
  try {
    if (!statSync(cwd).isDirectory()) return `its cwd "${cwd}" is not a folder`
    accessSync(cwd, constants.X_OK)
    return null
  } catch (error) {
    const code = codeOf(error)
    return code === 'ENOENT' ? `its cwd "${cwd}" does not exist` : `its cwd "${cwd}" cannot be entered (${code})`
  }
}

/** Why a command could not be started, for the person who wrote it: what, and where it was looked for. */
export function describeSpawnError(error: unknown, attempt: SpawnAttempt): string {
  const code = codeOf(error)
  if (code === 'ENOENT') return describeMissing(attempt)
  if (code === 'EACCES') return describeForbidden(attempt)
  if (code === 'E2BIG') return `"${attempt.command}" could not be started: its arguments and environment are too long`
  if (code === 'EAGAIN') return `"${attempt.command}" could not be started: too many processes (EAGAIN; see ulimit -u)`
  if (code === 'EMFILE') return `"${attempt.command}" could not be started: too many open files (EMFILE; see ulimit -n)`
  return `"${attempt.command}" could not be started: ${messageOf(error)}`
}

function describeMissing(attempt: SpawnAttempt): string {
  const { command } = attempt
  const found = candidates(attempt).find((path) => isFile(path))
  if (found !== undefined) {
    const interpreter = interpreterOf(found)
    if (interpreter !== null) return `"${found}" could not be started: its interpreter "${interpreter}" was not found`
    return `"${found}" could not be started: it, or the loader it needs, was not found`
  }
  if (command.includes('/')) return `"${command}" was not found (looked for ${resolve(attempt.cwd, command)})`
  return `"${command}" was not found on PATH (looked in ${folders(attempt).join(', ')})`
}

function describeForbidden(attempt: SpawnAttempt): string {
  const found = candidates(attempt).find((path) => exists(path))
  if (found === undefined) return `"${attempt.command}" may not be executed (EACCES)`
  if (!isFile(found)) return `"${found}" is a folder, not a program`
  return `"${found}" is not executable (chmod +x would make it so)`
}

function candidates({ command, cwd, env }: SpawnAttempt): string[] {
  if (command.includes('/')) return [resolve(cwd, command)]
  return folders({ command, cwd, env }).map((folder) => resolve(cwd, folder, command))
}

function folders({ env }: SpawnAttempt): string[] {
  return (env['PATH'] ?? '/bin:/usr/bin').split(delimiter).filter((folder) => folder !== '')
}

function exists(path: string): boolean {
  try {
    statSync(path)
    return true
  } catch {
    return false
  }
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** The program that a script names in its first line. */
function interpreterOf(path: string): string | null {
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
