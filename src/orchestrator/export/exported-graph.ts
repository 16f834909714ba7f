import { type CronSchedule, parseCron } from '../config/cron.ts'
import type { LoadedConfig } from '../config/load.ts'
import { redact, type SecretContext, SecretValues } from '../config/redact.ts'
import { isSecretFlag, isSecretName } from '../config/secret-names.ts'
import type { ResolvedProbe, ResolvedProcess } from '../config/resolved.ts'
import type { Environment, Variable, VariableSource } from '../config/resolve/scope.ts'

export interface Export {
  /** The files to write; `name` contains no folders. */
  readonly files: readonly { readonly name: string; readonly text: string }[]
  /** Notes of one line each, without secrets: manual steps, and differences from the orchestrator. */
  readonly notes: readonly string[]
}

/** A word of a command line, or the variable that contains it because it is secret. */
export type Word = { readonly text: string } | { readonly secret: string }

/** A process with a name that is valid for every engine. Only the field `definition` can contain secrets. */
export interface ExportedProcess {
  readonly definition: ResolvedProcess
  /** A DNS label of at most 50 characters, unique in the graph. */
  readonly id: string
  /** Program and arguments. */
  readonly words: readonly [Word, ...Word[]]
  /** The variables of the file that are not secret. */
  readonly environment: Readonly<Record<string, string>>
  /** Names of the variables with secrets of this process only, which the user must pass to the engine. */
  readonly secrets: readonly string[]
  /** Names of the variables with secrets that the file sets for all processes; `secrets` has those that this process replaces. */
  readonly sharedSecrets: readonly string[]
  readonly readiness: ExportedProbe | null
  readonly liveness: ExportedProbe | null
  /** Null if the process does not run at certain times. */
  readonly schedule: CronSchedule | null
}

export interface ExportedProbe extends Omit<ResolvedProbe, 'check'> {
  readonly check:
    | Exclude<ResolvedProbe['check'], { readonly type: 'http_get' | 'exec' }>
    | { readonly type: 'http_get'; readonly url: Word }
    | { readonly type: 'exec'; readonly words: readonly Word[] }
}

/** The id of the secrets that all processes share, where a process has its own id. */
const SHARED_ID = 'shared'

/** Returns the processes in the order of the file. */
export function exportedProcesses(config: LoadedConfig): readonly ExportedProcess[] {
  const shared = sharedSecrets(config)
  const taken = new Set(shared.length === 0 ? [] : [SHARED_ID])
  return config.processes.map((definition) => {
    const safe = safeId(definition.name)
    let id = safe
    for (let number = 2; taken.has(id); number += 1) id = `${safe}-${number}`
    taken.add(id)
    return exportProcess(definition, id, { environment: config.environments.get(definition.name), shared })
  })
}

/** Returns the names of the variables that `env` and `env_file` of the file set, and that contain secrets. */
function sharedSecrets({ processes, environments }: LoadedConfig): readonly string[] {
  const names = processes.flatMap((definition) => {
    const isSecret = secretDetector(definition)
    return [...(environments.get(definition.name) ?? [])].flatMap(([variable, { value, source }]) =>
      isShared(source) && (isSecretName(variable, definition.secretNames) || isSecret(value)) ? [variable] : [],
    )
  })
  return [...new Set(names)]
}

function isShared({ type }: VariableSource): boolean {
  return type === 'file_env' || type === 'file_env_file'
}

/** Returns the variables with secrets by the id of their file or object; a later one replaces variables of an earlier one. */
export function secretGroups({ id, secrets, sharedSecrets: shared }: ExportedProcess) {
  return [
    { id: SHARED_ID, names: shared },
    { id, names: secrets },
  ].filter(({ names }) => names.length > 0)
}

/** Returns the names of the variables that the file sets; the others are inherited or set by the orchestrator. */
function givenNames(environment: Environment | undefined): ReadonlySet<string> {
  const variables = [...(environment ?? [])]
  const isGiven = ({ source: { type } }: Variable) => type !== 'inherited' && type !== 'orchestrator'
  return new Set(variables.flatMap(([name, variable]) => (isGiven(variable) ? [name] : [])))
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
  definition: ResolvedProcess,
  id: string,
  { environment, shared }: { readonly environment: Environment | undefined; readonly shared: readonly string[] },
): ExportedProcess {
  const given = givenNames(environment)
  const isSecret = secretDetector(definition)
  const prefix = id.toUpperCase().replaceAll('-', '_')
  // Replaces secret words with variables, which have the number of the word, from 1.
  const hide = (texts: readonly string[], kind: string): readonly Word[] =>
    texts.map((text, index) =>
      isSecret(text) || isSecretFlag(texts[index - 1], definition.secretNames)
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
    ...(definition.name === definition.configName ? [] : ['PONIX_REPLICA']),
  ]
  const variables = Object.entries(definition.env).filter(([name]) => given.has(name) || own.includes(name))
  // A variable that replaces a shared secret is passed in the same way, so that it takes precedence.
  const isSecretVariable = ([name, value]: readonly [string, string]) =>
    isSecretName(name, definition.secretNames) || isSecret(value) || shared.includes(name)
  const isOwn = ([name]: readonly [string, string]) => {
    const source = environment?.get(name)?.source
    return !shared.includes(name) || source === undefined || !isShared(source)
  }
  const allWords = [...words, ...wordsOf(readiness), ...wordsOf(liveness)]
  return {
    definition,
    id,
    words,
    environment: Object.fromEntries(variables.filter((variable) => !isSecretVariable(variable))),
    secrets: [
      ...variables.filter((variable) => isSecretVariable(variable) && isOwn(variable)).map(([name]) => name),
      ...allWords.flatMap((word) => ('secret' in word ? word.secret : [])),
    ],
    sharedSecrets: shared,
    readiness,
    liveness,
    schedule: exportSchedule(definition.schedule),
  }
}

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

export const PROFILES_NOTE = 'its profiles have no counterpart: it always runs'
export const STARTUP_ATTEMPTS_NOTE =
  'startup_attempts has no counterpart: the restarts before it is ready are not limited separately'
export const WATCH_NOTE = 'its watch has no counterpart: it is not restarted when files change'

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
