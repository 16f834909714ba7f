import { type CronSchedule, parseCron } from '../config/cron.ts'
import type { LoadedConfig } from '../config/load.ts'
import { redact, type SecretContext, SecretValues } from '../config/redact.ts'
import { isSecretName, isSecretWord } from '../config/secret-names.ts'
import type { ResolvedProbe } from '../config/resolved.ts'
import type { EnvFile } from '../config/resolve/env-file.ts'
import type { ProcessVariables } from '../config/resolve/resolve.ts'
import { isFromFile } from '../config/resolve/scope.ts'
import { exportedInstances, type ExportedInstances } from './replicas.ts'

export interface Export {
  /** The files to write; `name` contains no folders. */
  readonly files: readonly { readonly name: string; readonly text: string }[]
  /** Notes of one line each, without secrets: manual steps, and differences from the orchestrator. */
  readonly notes: readonly string[]
}

/** A word of a command line, or the variable that contains it because it is secret. */
export type Word = { readonly text: string } | { readonly secret: string }

/** A process with a name that is valid for every engine. Only the field `definition` can contain secrets. */
export interface ExportedProcess extends ExportedInstances {
  /** A DNS label of at most 50 characters, unique in the graph. */
  readonly id: string
  /** Program and arguments. */
  readonly words: readonly [Word, ...Word[]]
  /** The variables of `env` that are not secret. */
  readonly environment: Readonly<Record<string, string>>
  /** The variables that are not in `environment`; later layers override earlier ones. */
  readonly layers: readonly VariableLayer[]
  /** The variables of an `env_file` that are not overridden by `env`. */
  readonly fromFiles: readonly string[]
  /** Those whose values are parts of other texts, and are not secret. */
  readonly copied: readonly string[]
  readonly readiness: ExportedProbe | null
  readonly liveness: ExportedProbe | null
  /** Null if the process does not run at certain times. */
  readonly schedule: CronSchedule | null
}

/** Names of variables that are in a file instead of in the export. */
export type VariableLayer =
  /** An `env_file`; `id` is that of the process, or of all processes. `path` is absolute. */
  | {
      readonly type: 'env_file'
      readonly id: string
      readonly path: string
      readonly isRequired: boolean
      readonly names: readonly string[]
    }
  /** Variables with secrets of a process, or of all processes, which the user must pass to the engine. */
  | { readonly type: 'secrets'; readonly id: string; readonly names: readonly string[] }

export interface ExportedProbe extends Omit<ResolvedProbe, 'check'> {
  readonly check:
    | Exclude<ResolvedProbe['check'], { readonly type: 'http_get' | 'exec' }>
    | { readonly type: 'http_get'; readonly url: Word }
    | { readonly type: 'exec'; readonly words: readonly Word[] }
}

/** The id of the secrets that all processes share, where a process has its own id. */
const SHARED_ID = 'shared'

/** Returns the processes in the order of the file. `setsNumber`: the engine sets PONIX_REPLICA in equal replicas. */
export function exportedProcesses(config: LoadedConfig, { setsNumber = false } = {}): readonly ExportedProcess[] {
  const shared = sharedSecrets(config)
  const hasShared = shared.length > 0 || [...config.variables.values()].some((one) => one.envFiles.shared.length > 0)
  const taken = new Set(hasShared ? [SHARED_ID] : [])
  return exportedInstances(config, { setsNumber }).map((exported) => {
    const safe = safeId(exported.title)
    let id = safe
    for (let number = 2; taken.has(id); number += 1) id = `${safe}-${number}`
    taken.add(id)
    return exportProcess(exported, id, { variables: config.variables.get(exported.definition.name), shared })
  })
}

/** Returns the names of the variables that `env` of the file sets, and that contain secrets. */
function sharedSecrets({ processes, variables }: LoadedConfig): readonly string[] {
  const names = processes.flatMap((definition) => {
    const isSecret = secretDetector(definition)
    return [...(variables.get(definition.name)?.environment ?? [])].flatMap(([variable, { value, source }]) =>
      source.type === 'file_env' && (isSecretName(variable, definition.secretNames) || isSecret(value))
        ? [variable]
        : [],
    )
  })
  return [...new Set(names)]
}

/** Returns the files that the user must write for an engine that reads files. */
export function secretGroups({ layers }: ExportedProcess) {
  return layers.filter((layer) => layer.type === 'secrets')
}

export function envFileLayers({ layers }: ExportedProcess) {
  return layers.filter((layer) => layer.type === 'env_file')
}

function fileLayers(files: readonly EnvFile[], id: string): readonly VariableLayer[] {
  return files.map(({ path, isRequired, variables }) => ({
    type: 'env_file',
    id,
    path,
    isRequired,
    names: Object.keys(variables),
  }))
}

function secretLayer(id: string, names: readonly string[]): readonly VariableLayer[] {
  return names.length === 0 ? [] : [{ type: 'secrets', id, names }]
}

/** Returns a DNS label of at most 46 characters that begins with a letter. */
export function safeId(name: string): string {
  const id = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+/g, '')
    .slice(0, 44)
    .replaceAll(/-+$/g, '')
  return /^[a-z]/.test(id) ? id : `p-${id}`.replace(/-$/, '')
}

function exportProcess(
  exported: ExportedInstances,
  id: string,
  { variables, shared }: { readonly variables: ProcessVariables | undefined; readonly shared: readonly string[] },
): ExportedProcess {
  const { definition, instances } = exported
  const { environment, envFiles, copied } = variables ?? NO_VARIABLES
  const isSecret = secretDetector(definition)
  const prefix = id.toUpperCase().replaceAll('-', '_')
  // Replaces secret words with variables, which have the number of the word, from 1.
  const hide = (texts: readonly string[], kind: string): readonly Word[] =>
    texts.map((text, index) =>
      isSecret(text) || isSecretWord(text, texts[index - 1], definition.secretNames)
        ? { secret: `${prefix}_${kind}_${index + 1}` }
        : { text },
    )
  const hideProgram = (text: string): Word => (isSecret(text) ? { secret: `${prefix}_COMMAND` } : { text })
  const words: readonly [Word, ...Word[]] = definition.shell
    ? [{ text: '/bin/sh' }, { text: '-c' }, ...hide([definition.command], 'COMMAND')]
    : [hideProgram(definition.command), ...hide(definition.args, 'ARGUMENT')]
  const readiness = exportProbe(definition.readinessProbe, (texts) => hide(texts, 'READINESS'))
  const liveness = exportProbe(definition.livenessProbe, (texts) => hide(texts, 'LIVENESS'))
  // The orchestrator sets these variables, so that another engine must set them too.
  const own = [
    ...(definition.usesExternal ? ['MQTT_BROKER'] : []),
    ...(definition.name === definition.configName || instances.length > 1 ? [] : ['PONIX_REPLICA']),
  ]
  const typeOf = (name: string) => environment.get(name)?.source.type
  const isGiven = (name: string) => typeOf(name) === 'file_env' || typeOf(name) === 'process_env'
  const set = Object.entries(definition.env).filter(([name]) => isGiven(name) || own.includes(name))
  const isSecretVariable = (name: string, value: string) =>
    isSecretName(name, definition.secretNames) || isSecret(value)
  const fromFiles = [...environment].flatMap(([name, { source }]) => (isFromFile(source) ? [name] : []))
  // A variable that replaces a shared secret is passed in the same way, so that it takes precedence.
  const hidden = set.filter(([name, value]) => isSecretVariable(name, value) || shared.includes(name))
  const allWords = [...words, ...wordsOf(readiness), ...wordsOf(liveness)]
  const secrets = [
    ...hidden.map(([name]) => name).filter((name) => !shared.includes(name) || typeOf(name) !== 'file_env'),
    ...allWords.flatMap((word) => ('secret' in word ? word.secret : [])),
  ]
  return {
    ...exported,
    id,
    words,
    environment: Object.fromEntries(set.filter((variable) => !hidden.includes(variable))),
    layers: [
      ...fileLayers(envFiles.shared, SHARED_ID),
      ...secretLayer(SHARED_ID, shared),
      ...fileLayers(envFiles.own, id),
      ...secretLayer(id, secrets),
    ],
    fromFiles,
    copied: [...copied].filter((name) => !isSecretVariable(name, definition.env[name] ?? '')),
    readiness,
    liveness,
    schedule: exportSchedule(definition.schedule),
  }
}

const NO_VARIABLES: ProcessVariables = { environment: new Map(), envFiles: { shared: [], own: [] }, copied: new Set() }

function exportSchedule(expression: string | null): CronSchedule | null {
  const schedule = expression === null ? null : parseCron(expression)
  return typeof schedule === 'string' ? null : schedule
}

function exportProbe(
  probe: ResolvedProbe | null,
  hide: (texts: readonly string[]) => readonly Word[],
): ExportedProbe | null {
  if (probe === null) return null
  const { check } = probe
  switch (check.type) {
    case 'exec':
      return { ...probe, check: { type: 'exec', words: hide(check.command) } }
    case 'http_get': {
      const [url = { text: check.url }] = hide([check.url])
      return { ...probe, check: { type: 'http_get', url } }
    }
    // These kinds cannot contain a secret.
    case 'tcp_socket':
    case 'log_line':
    case 'notify':
      return { ...probe, check }
  }
}

function wordsOf(probe: ExportedProbe | null): readonly Word[] {
  if (probe?.check.type === 'http_get') return [probe.check.url]
  return probe?.check.type === 'exec' ? probe.check.words : []
}

/** Returns a detector of passwords in URLs, and of the values of secret variables, which interpolation may have copied. */
function secretDetector(context: SecretContext): (text: string) => boolean {
  const values = new SecretValues(context)
  return (text) => redact(text, context.secretNames) !== text || values.has(text) || values.mask(text) !== text
}

/** Renders a time span in the format of systemd and Compose. */
export function timeSpan(ms: number): string {
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`
}

/** A note about one process, or about the whole graph if `about` is null. */
export interface Note {
  readonly about: string | null
  readonly text: string
}

/** Returns the note about values that the export contains although they come from an `env_file`; false if there are none. */
export function copiedNote({ copied }: ExportedProcess): string | false {
  return (
    copied.length > 0 &&
    `its command, probes or variables contain the current values of ${copied.join(', ')} from an env_file: export again after a change`
  )
}

/** Returns the note about variables of an `env_file` that the orchestrator gives to no process; false if there are none. */
export function withheldNote({ definition, layers }: ExportedProcess): string | false {
  const names = layers.flatMap((layer) => (layer.type === 'env_file' ? layer.names : []))
  const withheld = [...new Set(names)].filter((name) => !Object.hasOwn(definition.env, name))
  return (
    withheld.length > 0 &&
    `its env_file also gives it ${withheld.join(', ')}, which the orchestrator does not pass to processes`
  )
}

export const PROFILES_NOTE = 'its profiles have no counterpart: it always runs'
export const STARTUP_ATTEMPTS_NOTE =
  'startup_attempts has no counterpart: the restarts before it is ready are not limited separately'
export const WATCH_NOTE = 'its watch has no counterpart: it is not restarted when files change'

export function replicasNote({ numberedKeys: keys }: ExportedProcess): string | false {
  return keys.length > 0 && `its replicas use their number in ${keys.join(', ')}, so each is exported by itself`
}

/** Renders one line for each text, with the names of all processes that it is about. */
export function noteLines(notes: readonly Note[]): readonly string[] {
  const about = new Map<string, string[]>()
  for (const note of notes) {
    const names = about.get(note.text) ?? []
    about.set(note.text, note.about === null ? names : [...names, note.about])
  }
  return Array.from(about, ([text, names]) => (names.length === 0 ? text : `${names.join(', ')}: ${text}`))
}

export function notesAbout(about: string | null, texts: readonly (string | false)[]): readonly Note[] {
  return texts.filter((text) => text !== false).map((text) => ({ about, text }))
}
