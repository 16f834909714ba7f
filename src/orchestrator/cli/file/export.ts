import { renameSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { execa } from 'execa'
import { codeOf, messageOf, UserError } from '../../config/errors.ts'
import { type LoadedConfig, loadConfig, withoutLeftOut } from '../../config/load.ts'
import { exportCompose } from '../../export/compose.ts'
import { type Export, safeId } from '../../export/exported-graph.ts'
import { exportKubernetes } from '../../export/kubernetes.ts'
import { exportSystemd } from '../../export/systemd.ts'
import { createFolder } from '../../supervisor/system/create-folder.ts'
import { type ExportEngine, type ExportOptions, type FileOptions, toLoadOptions } from '../options.ts'

/** The version of Debian 12, assumed if `systemctl` is not installed. */
const DEFAULT_SYSTEMD_VERSION = 252

/** Writes the graph for another engine to stdout or to a folder, and the notes to stderr. */
export async function exportGraph(typed: FileOptions, engine: ExportEngine, options: ExportOptions): Promise<void> {
  const { selected, complete } = loadProfiles(typed)
  const { files, notes } = await render(engine === 'compose' ? complete : selected, engine, options)
  const { output } = options
  if (output === undefined) {
    const texts = files.map(({ name, text }) => (files.length === 1 ? text : `# ${name}\n${text}`))
    process.stdout.write(texts.join('\n'))
  } else {
    writeFiles(output, files)
    for (const { name } of files) process.stdout.write(`${join(output, name)}\n`)
  }
  const others = engine === 'compose' ? [] : inactiveNotes(selected, complete)
  for (const note of [...notes, ...others]) process.stderr.write(`note: ${note}\n`)
}

/** Loads the selected processes, and these with those of all profiles, unless `--only` selects single ones. */
function loadProfiles(typed: FileOptions): Readonly<Record<'selected' | 'complete', LoadedConfig>> {
  const options = toLoadOptions(typed)
  const loaded = loadConfig(options)
  const selected = withoutLeftOut(loaded)
  if (typed.only.length > 0) return { selected, complete: selected }
  const profiles = [...new Set(loaded.processes.flatMap((definition) => definition.profiles))]
  return { selected, complete: withoutLeftOut(loadConfig({ ...options, profiles })) }
}

/** Returns the note about the processes of inactive profiles, for engines without profiles; empty if there are none. */
function inactiveNotes(selected: LoadedConfig, complete: LoadedConfig): readonly string[] {
  const names = new Set(selected.processes.map(({ configName }) => configName))
  const inactive = complete.processes.filter(({ configName }) => !names.has(configName))
  if (inactive.length === 0) return []
  const left = [...new Set(inactive.map(({ configName }) => configName))]
  const profiles = [...new Set(inactive.flatMap((definition) => definition.profiles))]
  return [
    `left out because their profiles are not active: ${left.join(', ')}; include them with --profile ${profiles.join(',')}`,
  ]
}

async function render(config: LoadedConfig, engine: ExportEngine, options: ExportOptions): Promise<Export> {
  const project = safeId(options.name ?? basename(dirname(config.path)))
  if (engine === 'systemd') {
    const user = options.user ?? exportingUser()
    return exportSystemd(config, { project, user, systemdVersion: await systemdVersion() })
  }
  const folder = resolve(options.output ?? '.')
  const containers = { project, image: options.image ?? `${project}:latest`, folder }
  return engine === 'compose' ? exportCompose(config, containers) : exportKubernetes(config, containers)
}

/** Returns the name of this user, or the id if there is no name; null for root. */
function exportingUser(): string | null {
  const uid = process.getuid?.()
  if (uid === 0) return null
  try {
    return userInfo().username
  } catch {
    return uid === undefined ? null : String(uid)
  }
}

async function systemdVersion(): Promise<number> {
  const { stdout } = await execa('systemctl', ['--version'], { reject: false, timeout: 5000, stdin: 'ignore' })
  return Number(/^systemd (\d+)/.exec(stdout ?? '')?.[1] ?? DEFAULT_SYSTEMD_VERSION)
}

/** Renames complete files into place, so that no file is ever partial. */
function writeFiles(folder: string, files: Export['files']): void {
  createFolder(folder, { advice: 'name another folder with --output', mode: 0o777 })
  try {
    for (const { name, text } of files) writeFileSync(join(folder, `${name}.new`), text)
    for (const { name } of files) renameSync(join(folder, `${name}.new`), join(folder, name))
  } catch (error) {
    const reason = codeOf(error) ?? messageOf(error)
    throw new UserError(`--output ${JSON.stringify(folder)}: cannot be written to (${reason}); name another folder`)
  }
}
