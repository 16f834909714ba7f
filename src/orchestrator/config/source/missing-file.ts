import { existsSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { codeOf, describeFileError } from '../errors.ts'

const smallestFile = '{"processes": {"web": {"command": "…"}}}'

/** Returns the message for a configuration file that cannot be read, with the next step. */
export function missingFile(path: string, error: unknown): string {
  if (codeOf(error) !== 'ENOENT' || path !== 'commonplace.json') return `${path} ${describeFileError(error)}`
  const above = findAbove(process.cwd(), path)
  if (above !== null) return `no ${path} in this folder; to use the one above it, add --config ${relative('', above)}`
  return `no ${path} in this folder; the smallest one is ${smallestFile}, or run "ponix-orchestrator init"`
}

/** Returns the path of a file in the nearest parent folder that has it. */
function findAbove(folder: string, name: string): string | null {
  const parent = dirname(folder)
  if (parent === folder) return null
  const path = join(parent, name)
  return existsSync(path) ? path : findAbove(parent, name)
}
