import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { readEnvFile } from '../config/variables.ts'
import { parseJson, toValue } from '../config/json-source.ts'
import type { ResolvedConfig, ResolvedProcess } from '../config/resolved.ts'
import { configSchema, type ProcessFile } from '../config/schema.ts'
import { candidates } from '../supervisor/child.ts'

/** Returns, by process, the names of the variables that the file sets; the others are inherited. */
export function givenNames(config: ResolvedConfig): ReadonlyMap<string, ReadonlySet<string>> {
  const file = configSchema.parse(toValue(parseJson(readFileSync(config.path, 'utf8'))))
  const shared = Object.keys(file.env)
  return new Map(
    config.processes.map(({ name, configName }) => {
      const definition = file.processes[configName]
      return [
        name,
        new Set([...shared, ...(definition === undefined ? [] : ownNames(definition, dirname(config.path)))]),
      ]
    }),
  )
}

function ownNames(definition: ProcessFile, folder: string): readonly string[] {
  const files = [definition.env_file ?? []].flat().map((path) => readEnvFile(resolve(folder, path)))
  return [definition.env, ...files].flatMap((variables) => Object.keys(variables))
}

/** Returns the absolute path of a process's program, searched as at its start; null if it is not found. */
export function findProgram(definition: ResolvedProcess): string | null {
  return candidates(definition).find(isProgram) ?? null
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
