import { existsSync } from 'node:fs'
import { delimiter, dirname, resolve } from 'node:path'
import type { ResolvedConfig, ResolvedProcess } from '../config/resolved.ts'
import { extendPath, programFolders, SYSTEM_PATH } from '../config/variables.ts'
import { findProgram } from '../supervisor/child/program.ts'
import { envFileLayers, type ExportedProcess } from './exported-graph.ts'
import { environmentWord, wholeLine } from './systemd-commands.ts'

/** Renders the environment of a unit. Later files override earlier ones, and files override Environment=. */
export function environmentLines(
  exported: ExportedProcess,
  config: ResolvedConfig,
  project: string,
): readonly string[] {
  const variables = { PATH: unitPath(exported.definition, config), ...exported.environment }
  const overriding = new Set(overridingVariables(exported).map(([name]) => name))
  const settable = Object.entries(variables).filter(([name, value]) => isSettable(name, value) && !overriding.has(name))
  const lines = settable.map(([name, value]) => `Environment=${environmentWord(name, value)}`)
  const files = exported.layers.flatMap((layer) =>
    layer.type === 'env_file'
      ? [`EnvironmentFile=${layer.isRequired ? '' : '-'}${filePattern(layer.path)}`]
      : [`# Secret, so not included: ${layer.names.join(', ')}`, `EnvironmentFile=${secretFile(layer.id, project)}`],
  )
  const replica = exported.instances.length > 1 ? ['Environment=PONIX_REPLICA=%i'] : []
  return [...lines, ...replica, ...files]
}

/** Returns the variables that `env` sets and an `env_file` too: for systemd, EnvironmentFile= overrides Environment=. */
export function overridingVariables(exported: ExportedProcess): readonly (readonly [string, string])[] {
  const inFiles = new Set(envFileLayers(exported).flatMap(({ names }) => names))
  return Object.entries(exported.environment).filter(([name]) => inFiles.has(name))
}

/**
 * Returns PATH without the folders of the exporting user: the programs of the project and of this package, the folders of the
 * process's program and of node, and the default of the system.
 */
function unitPath(definition: ResolvedProcess, { path, files }: ResolvedConfig): string {
  const searched = (definition.env['PATH'] ?? '').split(delimiter)
  const project = new Set([path, ...files].flatMap((file) => programFolders(dirname(resolve(file)))))
  const program = definition.shell ? null : findProgram(definition)
  const needed = [process.execPath, ...(program === null ? [] : [program])].map((file) => dirname(file))
  const system = SYSTEM_PATH.split(delimiter)
  const isNeeded = (folder: string) => project.has(folder) || (needed.includes(folder) && !system.includes(folder))
  const folders = searched.filter((folder) => isNeeded(folder) && existsSync(folder))
  return extendPath([...new Set(folders)], SYSTEM_PATH)
}

/** Escapes the path of EnvironmentFile=, which is a pattern. */
function filePattern(path: string): string {
  return wholeLine(path.replaceAll(/[*?[\\]/g, String.raw`\$&`))
}

/** Returns the path of the file into which the user of the units writes the secrets of a process, or of the whole file. */
export function secretFile(id: string, project: string): string {
  return `/etc/${project}/${id}.env`
}

/** Returns whether systemd accepts a variable: it rejects other names, and control characters except tab and newline. */
export function isSettable(name: string, value: string): boolean {
  return /^[A-Za-z_]\w*$/.test(name) && !/(?![\t\n\u0080-\u009f])\p{Cc}/u.test(value)
}
