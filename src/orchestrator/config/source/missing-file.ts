import { codeOf, describeFileError } from '../errors.ts'
import { ownCommand } from '../own-command.ts'
import { DEFAULT_FILE } from './nearest-file.ts'

const smallestFile = '{"processes": {"web": {"command": "…"}}}'

/** Returns the message for a configuration file that cannot be read, with the next step. */
export function missingFile(path: string, error: unknown): string {
  if (codeOf(error) !== 'ENOENT' || path !== DEFAULT_FILE) return `${path} ${describeFileError(error)}`
  return `no ${path} in this folder or above; the smallest one is ${smallestFile}, or run "${ownCommand('init')}"`
}
