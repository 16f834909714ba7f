import { accessSync, constants, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { codeOf, messageOf } from '../../config/errors.ts'
import { redactValues } from '../../config/redact.ts'
import type { ResolvedProcess } from '../../config/resolved.ts'
import { describeMissingProgram } from './missing-program.ts'
import { candidates, interpreterOf, searchFolders, statOf } from './program.ts'

export type SpawnAttempt = Pick<ResolvedProcess, 'command' | 'cwd' | 'env' | 'secretNames'>

/** Returns the problem with the working directory of a process, without secrets; null if there is none. */
export function describeCwdProblem({ cwd, ...secrets }: Omit<SpawnAttempt, 'command'>): string | null {
  try {
    if (!statSync(cwd).isDirectory()) return `its cwd "${redactValues(cwd, secrets)}" is not a folder`
    accessSync(cwd, constants.X_OK)
    return null
  } catch (error) {
    const code = codeOf(error)
    const shown = redactValues(cwd, secrets)
    return code === 'ENOENT' ? `its cwd "${shown}" does not exist` : `its cwd "${shown}" cannot be entered (${code})`
  }
}

/** Returns the reason why a command could not be started, with the places that were searched and without secrets. */
export function describeSpawnError(error: unknown, attempt: SpawnAttempt): string {
  return redactValues(reasonOf(error, attempt), attempt)
}

function reasonOf(error: unknown, attempt: SpawnAttempt): string {
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
  const found = candidates(attempt).find((path) => statOf(path)?.isFile())
  if (found !== undefined) {
    const interpreter = interpreterOf(found)
    if (interpreter !== null)
      return `"${found}" could not be started: its interpreter "${interpreter}" was not found; install it or correct the first line`
    return `"${found}" could not be started: the file or its dynamic loader was not found`
  }
  if (command.includes('/')) return `"${command}" was not found (expected at ${resolve(attempt.cwd, command)})`
  return describeMissingProgram(command, searchFolders(attempt))
}

function describeForbidden(attempt: SpawnAttempt): string {
  const found = candidates(attempt).find((path) => statOf(path) !== null)
  if (found === undefined) return `"${attempt.command}" cannot be executed: permission denied (EACCES)`
  if (statOf(found)?.isFile() !== true) return `"${found}" is a folder, not a program`
  return `"${found}" is not executable; run chmod +x`
}
