import { codeOf, describeFileError } from '../errors.ts'
import { ownCommand } from '../own-command.ts'
import { DEFAULT_FILE, foreignFile } from './nearest-file.ts'

const smallestFile = '{"processes": {"web": {"command": "…"}}}'

/** Returns the message for a configuration file that cannot be read, with the next step. */
export function missingFile(path: string, error: unknown): string {
  if (codeOf(error) !== 'ENOENT') return `${path} ${describeFileError(error)}`
  if (path !== DEFAULT_FILE) return `${path} does not exist; name an existing file with --config`
  const foreign = foreignFile()
  if (foreign !== null) {
    return `no ${path} in this folder; ${foreign} belongs to another user, so it is used only with --config ${foreign}`
  }
  return `no ${path} in this folder or above; the smallest one is ${smallestFile}, or run "${ownCommand('init')}"`
}
