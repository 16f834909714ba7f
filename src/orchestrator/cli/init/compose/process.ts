import { posix } from 'node:path'
import type { DraftProcess, EnvFile } from '../draft.ts'
import { commandOfWords, wordsOf } from './command.ts'
import { containerCommand, type ContainerProject } from './container.ts'
import { type ServiceContext, translate } from './context.ts'
import { readinessOf } from './healthcheck.ts'
import type { PublishedPorts } from './ports.ts'
import { restartOf, shutdownOf } from './restart.ts'
import { memoryLimit, watchOf } from './runtime.ts'
import { buildContext, dependenciesOf, environmentOf, replicasOf, type Service, unusedKeys } from './schema.ts'
import { parseVariables } from './variables.ts'

export interface ProcessOptions {
  /** The names of the processes by the names of their services. */
  readonly names: ReadonlyMap<string, string>
  readonly isTask: boolean
  readonly ports: readonly PublishedPorts[]
}

/** The time that Compose gives a container to stop. A docker command that is killed would leave its container behind. */
const CONTAINER_STOP_MS = 10_000

/** Translates a service that becomes a container of the docker command. */
export function containerProcess(
  context: ServiceContext,
  { ports, ...options }: ProcessOptions,
  { name, project }: { readonly name: string; readonly project: ContainerProject },
): DraftProcess {
  const { env, ...command } = containerCommand(context, { name, project, ports })
  return {
    ...command,
    ...kindOf(options),
    ...envFilesOf(context),
    ...(env === undefined ? {} : { env }),
    ...dependenciesOn(context, options),
    ...(options.isTask ? {} : readinessOf(context, name)),
    ...restartOf(context, options.isTask),
    ...shutdownOf(context, CONTAINER_STOP_MS),
    ...profilesOf(context),
  }
}

/** Translates a service whose program runs without a container. `words`: its command, with the variables of Compose. */
export function localProcess(context: ServiceContext, options: ProcessOptions, words: readonly string[]): DraftProcess {
  const { service } = context
  const replicas = replicasOf(service)
  const process = {
    ...commandOfWords(words, context),
    ...kindOf(options),
    ...folderOf(context),
    ...envFilesOf(context),
    ...environment(context),
    ...dependenciesOn(context, options),
    ...(options.isTask ? {} : readinessOf(context, null)),
    ...restartOf(context, options.isTask),
    ...shutdownOf(context, null),
    ...(replicas <= 1 ? {} : { replicas }),
    ...runtimeOf(context, options.isTask),
    ...profilesOf(context),
  }
  noteRest(context, options.ports)
  return process
}

function kindOf({ isTask }: Pick<ProcessOptions, 'isTask'>): { readonly kind?: 'task' } {
  return isTask ? { kind: 'task' } : {}
}

function profilesOf({ service: { profiles } }: ServiceContext): object {
  return profiles === undefined || profiles.length === 0 ? {} : { profiles }
}

/** Returns the folder of the project that the service has as its working directory. */
function folderOf({ service, variables, note }: ServiceContext): object {
  const { working_dir: wanted, volumes = [] } = service
  const context = buildContext(service)
  const toFolder = (path: string) => (/^\.?\/?$/.test(path) ? {} : { cwd: variables.forFile(path) })
  if (wanted === undefined) return context === null ? {} : toFolder(context)
  if (!wanted.startsWith('/')) return toFolder(wanted)
  const mounted = volumes.flatMap((volume) => hostFolder(volume, wanted))
  if (mounted[0] !== undefined) return toFolder(mounted[0])
  note(`working_dir ${wanted} is a folder of the container; set "cwd" if ${context ?? '.'} is wrong`)
  return context === null ? {} : toFolder(context)
}

/** Returns the folder on this machine that a bind mount makes the folder `wanted` of the container. */
function hostFolder(volume: NonNullable<Service['volumes']>[number], wanted: string): readonly string[] {
  const [, source, target] =
    typeof volume === 'string' ? (/^(\.[^:]*):([^:]+)/.exec(volume) ?? []) : ['', volume.source, volume.target]
  if (source === undefined || target === undefined || !source.startsWith('.')) return []
  const path = posix.relative(target, wanted)
  return path.startsWith('..') ? [] : [path === '' ? source : posix.join(source, path)]
}

/** Returns `env`. An entry that references another one comes first, because Compose replaces it by the variable of the project. */
function environment(context: ServiceContext): object {
  // A variable without a value is inherited, as all variables are.
  const given = environmentOf(context.service).flatMap(([name, value]) => {
    if (value === null) context.variables.use(name)
    return value === null ? [] : [[name, value] as const]
  })
  const isChanged = ([name, value]: readonly [string, string]) => value !== `\${${name}}` && value !== `$${name}`
  const changed = new Set(given.filter(isChanged).map(([name]) => name))
  const referencesOther = ([name, value]: readonly [string, string]) =>
    parseVariables(value).some((part) => typeof part !== 'string' && part.name !== name && changed.has(part.name))
  const ordered = [...given.filter(referencesOther), ...given.filter((entry) => !referencesOther(entry))]
  const env = Object.fromEntries(ordered.map(([name, value]) => [name, translate(value, name, context)]))
  return ordered.length === 0 ? {} : { env }
}

function envFilesOf(context: ServiceContext): object {
  const { service, project, variables, hosts, name, note } = context
  const files = [service.env_file ?? []].flat().map((file): EnvFile => {
    const { path, required = true } = typeof file === 'string' ? { path: file } : file
    const present = variables.evaluate(path)
    const values = Object.entries(project.readEnv(present) ?? {})
    for (const [key, value] of values) {
      for (const other of hosts.mentioned(value).filter((mentioned) => mentioned !== name)) {
        note(`${key} in ${present}: ${hosts.advice(other)}`)
      }
    }
    const text = variables.forFile(path)
    if (!required) return { path: text, required: false }
    if (project.has(present)) return text
    note(`env_file ${path} does not exist; it is optional now`)
    return { path: text, required: false }
  })
  if (files.length === 0) return {}
  return { env_file: files.length === 1 ? files[0] : files }
}

const conditions = new Map([
  ['service_started', 'started'],
  ['service_healthy', 'ready'],
  ['service_completed_successfully', 'completed_successfully'],
])

function dependenciesOn({ service, note }: ServiceContext, { names }: Pick<ProcessOptions, 'names'>): object {
  const listed = dependenciesOf(service)
  const kept = Array.from(listed).flatMap(([to, { condition = '', required }]) => {
    const process = names.get(to)
    if (process === undefined && required !== false) {
      note(`depends_on ${to} left out, because ${to} was not taken over`)
    }
    if (process !== undefined && required === false) {
      note(`depends_on.${to}.required left out: it waits for ${to}, unless ${to} is left out of the run`)
    }
    return process === undefined ? [] : [[process, conditions.get(condition) ?? null] as const]
  })
  if (kept.length === 0) return {}
  const isRestarted = [...listed.values()].some(({ restart }) => restart === true)
  const follows = isRestarted ? { on_dependency_restart: 'restart' } : {}
  if (kept.every(([, condition]) => condition === null)) return { depends_on: kept.map(([to]) => to), ...follows }
  return {
    depends_on: Object.fromEntries(kept.map(([to, condition]) => [to, { condition: condition ?? 'started' }])),
    ...follows,
  }
}

function runtimeOf({ service, note }: ServiceContext, isTask: boolean): object {
  const { tty, stdin_open, mem_limit, deploy, develop = {} } = service
  const size = mem_limit ?? deploy?.resources?.limits?.memory
  const limit = size === undefined ? null : memoryLimit(size)
  if (size !== undefined && limit === null) note(`memory limit ${size} is not a size; set "memory_limit"`)
  if (limit !== null && isTask) note(`memory limit ${size} left out, because a task cannot have one`)
  if (stdin_open === true && tty !== true) note('stdin_open left out; "tty": true gives a terminal to type into')
  const { watch, notes } = watchOf(develop)
  for (const text of notes) note(text)
  return {
    ...(tty === true ? { tty } : {}),
    ...(limit === null || isTask ? {} : { memory_limit: limit }),
    ...(watch === null ? {} : { watch }),
  }
}

function noteRest({ service, project, note }: ServiceContext, ports: readonly PublishedPorts[]): void {
  const moved = ports.filter(({ mappings }) => !mappings.every(({ target, published }) => published === `${target}`))
  if (moved.length > 0) {
    const shown = moved.map(({ text }) => text).join(', ')
    note(`ports ${shown}: nothing forwards ports here; the program itself must listen on the port that clients use`)
  }
  if (service.image !== undefined && service.build === undefined) {
    note(`image ${service.image} is not used; its programs must be installed here`)
  }
  const [program = ''] = [...wordsOf(service.entrypoint), ...wordsOf(service.command)]
  if (program.startsWith('/') && !project.has(program)) {
    note(`${program} does not exist here; it is probably a file of the image`)
  }
  const rest = unusedKeys(service)
  if (rest.length > 0) note(`not taken over: ${rest.join(', ')}`)
}
