import { codeOf } from './errors.ts'

const reasons = new Map([
  ['ENOENT', 'does not exist'],
  ['ENOTDIR', 'does not exist'],
  ['EACCES', 'may not be read: permission denied'],
  ['EPERM', 'may not be read: permission denied'],
  ['EISDIR', 'is a folder, not a file'],
  ['ELOOP', 'is a symbolic link that leads in a circle'],
  ['ENAMETOOLONG', 'has too long a name'],
])

/** Why a file could not be read, as the end of a sentence that begins with its name. */
export function describeFileError(error: unknown): string {
  const code = codeOf(error) ?? 'unknown error'
  return reasons.get(code) ?? `cannot be read (${code})`
}
