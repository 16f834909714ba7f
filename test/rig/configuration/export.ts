import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { emptyFolder } from '../empty-folder.ts'
import { plainOptions } from './load-options.ts'
import { type LoadedConfig, type LoadOptions, loadConfig } from '../../../src/orchestrator/config/load.ts'
import type { Export } from '../../../src/orchestrator/export/exported-graph.ts'
import { projectRoot } from '../program.ts'

export interface LoadedGraph {
  /** The folder of the configuration file. */
  readonly folder: string
  readonly config: LoadedConfig
  readonly options: { readonly project: string; readonly image: string; readonly folder: string }
}

/** Writes and loads a configuration, as `export` does. The file sets a part of `environment`. */
export function loadGraph(
  file: object,
  environment: NodeJS.ProcessEnv = {},
  options: Partial<LoadOptions> = {},
): LoadedGraph {
  const folder = emptyFolder()
  const path = join(folder, 'commonplace.json')
  writeFileSync(path, JSON.stringify(file))
  return loadFile(path, { PATH: '/usr/bin:/bin', HOME: '/root', ...environment }, options)
}

/** Returns the graph that `npm start` runs. */
export function loadDefaultGraph(): LoadedGraph {
  return loadFile(join(projectRoot, 'commonplace.json'), { PATH: process.env['PATH'] })
}

/** Loads a configuration file. */
export function loadFile(
  path: string,
  environment: NodeJS.ProcessEnv,
  selection: Partial<LoadOptions> = {},
): LoadedGraph {
  const config = loadConfig({ ...plainOptions, ...selection, path, environment })
  const folder = join(path, '..')
  const options = { project: 'plant', image: 'plant:1', folder }
  return { folder, config, options }
}

/** Returns the text of one file. */
export function fileOf({ files }: Export, name: string): string {
  const file = files.find((candidate) => candidate.name === name)
  if (file === undefined) throw new Error(`no file ${name} among ${files.map((other) => other.name).join(', ')}`)
  return file.text
}

/** Returns all documents of a YAML text. */
export function parseYamlDocuments(text: string): readonly unknown[] {
  return parseAllDocuments(text).map((document) => {
    if (document.errors.length > 0) throw new Error(`not YAML: ${String(document.errors[0])}`)
    return document.toJS()
  })
}
