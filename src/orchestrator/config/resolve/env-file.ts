import { resolve } from 'node:path'
import { messageOf } from '../errors.ts'
import type { ConfigFiles } from '../source/config-files.ts'
import { folderOf, type JsonNode, type JsonPath } from '../source/json-source.ts'
import type { Problems } from '../source/problems.ts'
import type { EnvFileSetting } from '../schema/env-file.ts'
import type { Variables } from '../variables.ts'

export interface EnvFile {
  /** Absolute path. */
  readonly path: string
  /** False if the file can be missing; it then has no variables. */
  readonly isRequired: boolean
  readonly variables: Variables
}

interface EnvFileContext {
  /** The merged configuration files. */
  readonly root: JsonNode
  readonly problems: Problems
  readonly files: ConfigFiles
  /** Replaces the variables in the path of a file; null if that is not possible, which is reported. */
  readonly interpolate: (text: string, at: JsonPath) => string | null
  /** Called after each file, in their order; later files can use its variables in their paths. */
  readonly add: (file: EnvFile) => void
}

/** Reads the files of a key `env_file`. Returns false if a file is invalid, so that the set of defined variables is unknown. */
export function readEnvFiles(setting: EnvFileSetting, path: JsonPath, context: EnvFileContext): boolean {
  const entries = [setting].flat().map((entry, index) => {
    const at = Array.isArray(setting) ? [...path, index] : path
    return typeof entry === 'string'
      ? { name: entry, at, isRequired: true }
      : { name: entry.path, at: [...at, 'path'], isRequired: entry.required }
  })
  const results = entries.map((entry) => readEntry(entry, context))
  return !results.includes(false)
}

function readEntry(
  { name, at, isRequired }: { readonly name: string; readonly at: JsonPath; readonly isRequired: boolean },
  { root, problems, files, interpolate, add }: EnvFileContext,
): boolean {
  const text = interpolate(name, at)
  if (text === null) return false
  const path = resolve(folderOf(root, at), text)
  try {
    const variables = files.envFile(path)
    if (variables === null && isRequired) {
      problems.add(at, `"${path}" does not exist; if it is optional, write {"path": …, "required": false}`)
    } else add({ path, isRequired, variables: variables ?? {} })
    // A missing file sets no variable.
    return true
  } catch (error) {
    problems.add(at, messageOf(error))
    return false
  }
}
