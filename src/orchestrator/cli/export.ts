import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { execa } from 'execa'
import { loadConfig } from '../config/load.ts'
import type { ResolvedConfig } from '../config/resolved.ts'
import { exportCompose } from '../export/compose.ts'
import { type Export, safeId } from '../export/exported-graph.ts'
import { exportKubernetes } from '../export/kubernetes.ts'
import { findProgram, givenNames } from '../export/source.ts'
import { exportSystemd } from '../export/systemd.ts'
import { type ExportEngine, type ExportOptions, type FileOptions, toLoadOptions } from './options.ts'
import { codeOf, messageOf, UsageError } from '../config/errors.ts'

/** Where no systemd is at hand to be asked: what Debian 12 has. */
const usualSystemdVersion = 252

/** `export`: writes the graph for another engine, to stdout or into a folder; what is to be known goes to stderr (O-10). */
export async function exportGraph(typed: FileOptions, engine: ExportEngine, options: ExportOptions): Promise<number> {
  const config = loadConfig(toLoadOptions(typed))
  const { files, notes } = await render(config, engine, options)
  if (options.output === null) {
    const [only] = files
    const isOne = files.length === 1 && only !== undefined
    process.stdout.write(isOne ? only.text : files.map(({ name, text }) => `# ${name}\n${text}`).join('\n'))
  } else {
    writeFiles(options.output, files)
    for (const { name } of files) process.stdout.write(`${join(options.output, name)}\n`)
  }
  for (const note of notes) process.stderr.write(`note: ${note}\n`)
  return 0
}

async function render(config: ResolvedConfig, engine: ExportEngine, options: ExportOptions): Promise<Export> {
  const project = safeId(options.name ?? basename(dirname(config.path)))
  const common = { project, givenNames: givenNames(config) }
  if (engine === 'systemd') {
    const { uid, username } = userInfo()
    const user = uid === 0 ? null : username
    return exportSystemd(config, { ...common, user, systemdVersion: await systemdVersion(), findProgram })
  }
  const containers = { ...common, image: options.image ?? `${project}:latest` }
  return engine === 'compose' ? exportCompose(config, containers) : exportKubernetes(config, containers)
}

async function systemdVersion(): Promise<number> {
  const { stdout } = await execa('systemctl', ['--version'], { reject: false, timeout: 5000, stdin: 'ignore' })
  return Number(/^systemd (\d+)/.exec(stdout ?? '')?.[1] ?? usualSystemdVersion)
}

/** Each file is whole or not there. */
function writeFiles(folder: string, files: Export['files']): void {
  try {
    mkdirSync(folder, { recursive: true })
    for (const { name, text } of files) writeFileSync(join(folder, `${name}.new`), text)
    for (const { name } of files) renameSync(join(folder, `${name}.new`), join(folder, name))
  } catch (error) {
    const reason = codeOf(error) ?? messageOf(error)
    throw new UsageError(`--output ${JSON.stringify(folder)}: cannot be written to (${reason}); name another folder`)
  }
}
