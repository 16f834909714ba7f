import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { z } from 'zod'
import { codeOf, describeFileError, messageOf, UserError } from '../../config/errors.ts'
import { ownCommand } from '../../config/own-command.ts'
import { draftFromCompose } from './compose/compose.ts'
import type { Draft, DraftProcess, EnvFile, ProjectFolder, Watch } from './draft.ts'
import { readEnvFile } from '../../config/source/read-env-file.ts'
import { inheritedEnvironment } from '../../config/variables.ts'
import { draftFromPackages, type PackageScripts } from './package-scripts.ts'
import { draftFromProcfile } from './procfile.ts'
import { renderFile } from './render.ts'

/** Exit code if the file cannot be written. */
const NOT_WRITTEN = 1
const composeNames = ['compose.yaml', 'compose.yml', 'docker-compose.yaml', 'docker-compose.yml']
const sourceForm = 'a package.json, a Procfile or a Compose file (.yaml, .yml)'

/** Writes a first configuration file at `path`, from the only source in its folder or from the file `from`. Runs nothing. */
export async function init(path: string, from: string | null): Promise<void> {
  if (existsSync(path)) throw new UserError(`${path} already exists; nothing was written`, NOT_WRITTEN)
  const folder = dirname(path)
  const found = from === null ? await findSource(folder) : { file: from, draft: await readSource(from) }
  if (found !== null && found.draft.processes.size === 0) {
    throw new UserError(`${found.file} has no process to take over${listed(found.draft.notes)}`, NOT_WRITTEN)
  }
  const draft: Draft =
    found === null ? { processes: new Map(), notes: [] } : inFolder(found.draft, folder, dirname(found.file))
  const source = found === null ? null : basename(found.file)
  write(path, renderFile(draft, { source, schema: schemaIn(folder) }))
  const names = [...draft.processes.keys()].join(', ')
  const origin =
    found === null
      ? ` with an example; replace its command, then run "${ownCommand('')}"`
      : ` from ${found.file}: ${names}`
  process.stdout.write(`wrote ${path}${origin}\n`)
  noteAll(draft.notes)
}

function noteAll(notes: readonly string[]): void {
  for (const note of notes) process.stderr.write(`note: ${note}\n`)
}

function listed(notes: readonly string[]): string {
  return notes.map((note) => `\n  ${note}`).join('')
}

/** Returns the only source with processes; null if there is none. Throws a UserError if there are several. */
async function findSource(folder: string): Promise<{ readonly file: string; readonly draft: Draft } | null> {
  const names = ['package.json', 'Procfile', 'Procfile.dev', ...composeNames].filter((name) =>
    existsSync(join(folder, name)),
  )
  const sources = await Promise.all(
    names.map(async (name) => ({ file: join(folder, name), draft: await readSource(join(folder, name)) })),
  )
  const usable = sources.filter(({ draft }) => draft.processes.size > 0)
  if (usable.length === 0) {
    for (const { file, draft } of sources) noteAll([`${file} has no process to take over`, ...draft.notes])
  }
  if (usable.length <= 1) return usable[0] ?? null
  const files = usable.map(({ file }) => file)
  throw new UserError(`${files.join(' and ')} were found; name one of them, such as --from ${files[0]}`)
}

async function readSource(file: string): Promise<Draft> {
  const name = basename(file)
  const text = readText(file)
  const folder = projectFolder(dirname(file))
  const { has } = folder
  if (name === 'package.json') return draftFromPackages(packagesOf(text, file), packageManager(text, has))
  if (name.startsWith('Procfile')) return draftFromProcfile(text, has('.env'))
  if (/\.ya?ml$/.test(name))
    return draftFromCompose(text, file, folder, inheritedEnvironment(process.env, new Set()).inherited)
  throw new UserError(`--from ${JSON.stringify(file)}: expected ${sourceForm}`)
}

function projectFolder(folder: string): ProjectFolder {
  const at = (path: string) => (isAbsolute(path) ? path : join(folder, path))
  return {
    name: basename(resolve(folder)),
    has: (path) => existsSync(at(path)),
    read: (path) => readText(at(path)),
    readEnv: (path) => readEnvFile(at(path)),
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new UserError(`${file} ${describeFileError(error)}; expected ${sourceForm}`, 2, { cause: error })
  }
}

const workspacesSchema = z.array(z.string())
const manifestSchema = z.looseObject({
  scripts: z.record(z.string(), z.string()).default({}),
  workspaces: z.union([workspacesSchema, z.looseObject({ packages: workspacesSchema })]).default([]),
  packageManager: z.string().optional(),
})

function parseManifest(text: string, file: string): z.infer<typeof manifestSchema> {
  try {
    return manifestSchema.parse(JSON.parse(text))
  } catch (error) {
    const reason = error instanceof z.ZodError ? '"scripts" or "workspaces" has an unknown form' : messageOf(error)
    throw new UserError(`${file} cannot be read: ${reason}`, 2, { cause: error })
  }
}

/** Returns the scripts of a project and of its workspaces: folders, and patterns such as `packages/*`. */
function packagesOf(text: string, file: string): readonly PackageScripts[] {
  const { scripts, workspaces } = parseManifest(text, file)
  const patterns = Array.isArray(workspaces) ? workspaces : workspaces.packages
  const folders = patterns.flatMap((pattern) => {
    const parent = pattern.replace(/\/\*$/, '')
    if (parent === pattern) return [pattern]
    const names = existsSync(join(dirname(file), parent)) ? readdirSync(join(dirname(file), parent)) : []
    return names.toSorted().map((name) => join(parent, name))
  })
  const inner = [...new Set(folders)].flatMap((folder): readonly PackageScripts[] => {
    const manifest = join(dirname(file), folder, 'package.json')
    if (!existsSync(manifest)) return []
    return [{ folder, scripts: parseManifest(readText(manifest), manifest).scripts }]
  })
  return [{ folder: '', scripts }, ...inner]
}

function packageManager(text: string, has: (path: string) => boolean): string {
  const named = parseManifest(text, 'package.json').packageManager?.split('@')[0]
  if (named !== undefined) return named
  if (has('pnpm-lock.yaml')) return 'pnpm'
  if (has('yarn.lock')) return 'yarn'
  return has('bun.lock') || has('bun.lockb') ? 'bun' : 'npm'
}

/** Returns a draft whose processes run in the folder of the source, for a file in `folder`. */
function inFolder(draft: Draft, folder: string, source: string): Draft {
  const path = relative(resolve(folder), resolve(source))
  if (path === '') return draft
  const move = (inner: string) => (isAbsolute(inner) ? inner : join(path, inner))
  const moved = (file: EnvFile): EnvFile =>
    typeof file === 'string' ? move(file) : { path: move(file.path), required: false }
  const processes = Array.from(draft.processes, ([name, process]): [string, DraftProcess] => {
    const { cwd = '.', env_file: files, watch } = process
    const envFiles = files === undefined ? {} : { env_file: [files].flat().map(moved) }
    const watched = watch === undefined ? {} : { watch: moveWatch(watch, path) }
    return [name, { ...process, cwd: move(cwd), ...envFiles, ...watched }]
  })
  const envFile = draft.envFile === undefined ? {} : { envFile: moved(draft.envFile) }
  return { ...draft, processes: new Map(processes), ...envFile }
}

/** Moves watched paths, and patterns that begin with the folder of the file, into a folder. */
function moveWatch({ paths, ignore }: Watch, folder: string): Watch {
  const moved = { paths: paths.map((path) => join(folder, path)) }
  if (ignore === undefined) return moved
  return { ...moved, ignore: ignore.map((pattern) => (pattern.startsWith('/') ? `/${folder}${pattern}` : pattern)) }
}

/** Returns the path of the JSON Schema if the package is installed in the project. */
function schemaIn(folder: string): string | null {
  const path = 'node_modules/ponix-orchestrator/docs/commonplace.schema.json'
  return existsSync(join(folder, path)) ? `./${path}` : null
}

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text, { flag: 'wx' })
  } catch (error) {
    const reason =
      codeOf(error) === 'EEXIST' ? 'already exists' : `cannot be written (${codeOf(error) ?? messageOf(error)})`
    throw new UserError(`${path} ${reason}; nothing was written`, NOT_WRITTEN, { cause: error })
  }
}
