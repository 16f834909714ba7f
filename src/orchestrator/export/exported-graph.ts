import { isSecretName, redact } from '../config/redact.ts'
import type { ResolvedConfig, ResolvedProbe, ResolvedProcess } from '../config/resolved.ts'

/** What the renderers have to know beside the configuration. */
export interface GraphOptions {
  /** Names of the variables that the file itself gives to each process; the rest of an environment is the exporter's own. */
  readonly givenNames: ReadonlyMap<string, ReadonlySet<string>>
}

/** A process as engines want it: a safe name, and no secret in anything but in `process` itself. */
export interface ExportedProcess {
  readonly process: ResolvedProcess
  /** Unique in the graph; lower-case letters, digits and hyphens, at most 50, as a DNS label. */
  readonly id: string
  /** Program and arguments. */
  readonly words: readonly [Word, ...Word[]]
  /** Variables of the file that are no secrets. */
  readonly environment: Readonly<Record<string, string>>
  /** Names of the variables that hold secrets: somebody has to give them to the engine. */
  readonly secrets: readonly string[]
  readonly readiness: ExportedProbe | null
  readonly liveness: ExportedProbe | null
}

export interface ExportedProbe extends Omit<ResolvedProbe, 'check'> {
  readonly check:
    | Exclude<ResolvedProbe['check'], { readonly type: 'http_get' | 'exec' }>
    | { readonly type: 'http_get'; readonly url: Word }
    | { readonly type: 'exec'; readonly words: readonly Word[] }
}

/** Names and secrets settled, in the order of the file. Pure. */
export function exportedProcesses(config: ResolvedConfig, options: GraphOptions): readonly ExportedProcess[] {
  const ids = uniqueIds(config.processes.map((process) => process.name))
  return config.processes.map((process) => {
    const given = options.givenNames.get(process.name) ?? new Set()
    return exportProcess(process, ids.get(process.name) ?? process.name, given)
  })
}

/** Whoever takes the orchestrator's place has to set these too. */
function isSetByUs(variable: string, { name, configName }: ResolvedProcess): boolean {
  return variable === 'MQTT_BROKER' || (variable === 'PONIX_REPLICA' && name !== configName)
}

function exportProcess(process: ResolvedProcess, id: string, given: ReadonlySet<string>): ExportedProcess {
  const values = secretValuesOf(process.env)
  const prefix = id.toUpperCase().replaceAll('-', '_')
  const hide = (texts: readonly string[], kind: string) => hideSecrets(texts, values, `${prefix}_${kind}`)
  const words: readonly [Word, ...Word[]] = process.shell
    ? [{ text: '/bin/sh' }, { text: '-c' }, ...hide([process.command], 'COMMAND')]
    : [{ text: process.command }, ...hide(process.args, 'ARGUMENT')]
  const readiness = exportProbe(process.readinessProbe, (texts) => hide(texts, 'READINESS'))
  const liveness = exportProbe(process.livenessProbe, (texts) => hide(texts, 'LIVENESS'))
  const variables = Object.entries(process.env).filter(([name]) => given.has(name) || isSetByUs(name, process))
  const isSecret = ([name, value]: readonly [string, string]) => isSecretVariable(name, value, values)
  return {
    process,
    id,
    words,
    environment: Object.fromEntries(variables.filter((variable) => !isSecret(variable))),
    secrets: [
      ...variables.filter(isSecret).map(([name]) => name),
      ...[...words, ...wordsOf(readiness), ...wordsOf(liveness)].flatMap((word) =>
        'secret' in word ? word.secret : [],
      ),
    ],
    readiness,
    liveness,
  }
}

function exportProbe(
  probe: ResolvedProbe | null,
  hide: (texts: readonly string[]) => readonly Word[],
): ExportedProbe | null {
  if (probe === null) return null
  const { check } = probe
  if (check.type === 'exec') return { ...probe, check: { type: 'exec', words: hide(check.command) } }
  if (check.type !== 'http_get') return { ...probe, check }
  const [url = { text: check.url }] = hide([check.url])
  return { ...probe, check: { type: 'http_get', url } }
}

function wordsOf(probe: ExportedProbe | null): readonly Word[] {
  if (probe?.check.type === 'http_get') return [probe.check.url]
  return probe?.check.type === 'exec' ? probe.check.words : []
}

function uniqueIds(names: readonly string[]): ReadonlyMap<string, string> {
  const ids = new Map<string, string>()
  const taken = new Set<string>()
  for (const name of names) {
    const id = safeId(name)
    let unique = id
    for (let number = 2; taken.has(unique); number += 1) unique = `${id}-${number}`
    taken.add(unique)
    ids.set(name, unique)
  }
  return ids
}

/** As a DNS label: lower-case letters, digits and hyphens, beginning with a letter, at most 46 long. */
export function safeId(name: string): string {
  const id = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+/g, '')
    .slice(0, 44)
    .replaceAll(/-+$/g, '')
  return /^[a-z]/.test(id) ? id : `p-${id}`.replace(/-$/, '')
}

/** One word of a command line: as it is, or the name of a variable that holds it because it is secret. */
export type Word = { readonly text: string } | { readonly secret: string }

/** Shorter values of secrets are words of every day, and only found where they stand alone. */
const foundWithinFrom = 6

/** The values of all variables with a secret name: they may have been written into other places by interpolation. */
function secretValuesOf(environment: Readonly<Record<string, string>>): ReadonlySet<string> {
  const values = Object.entries(environment).filter(([name, value]) => isSecretName(name) && value !== '')
  return new Set(values.map(([, value]) => value))
}

/** Whether a variable must not be written down (O-42): by its name, by a password in its URL, or by what it holds. */
function isSecretVariable(name: string, value: string, secretValues: ReadonlySet<string>): boolean {
  return isSecretName(name) || isSecretText(value, secretValues)
}

/** The words of a command line, those that are secret replaced by a variable: `prefix` and the number of the word, from 1. */
function hideSecrets(texts: readonly string[], secretValues: ReadonlySet<string>, prefix: string): readonly Word[] {
  return texts.map((text, index) => {
    const isSecret = isSecretText(text, secretValues) || followsSecretFlag(texts[index - 1])
    return isSecret ? { secret: `${prefix}_${index + 1}` } : { text }
  })
}

function isSecretText(text: string, secretValues: ReadonlySet<string>): boolean {
  if (redact(text) !== text || secretValues.has(text)) return true
  return [...secretValues].some((value) => value.length >= foundWithinFrom && text.includes(value))
}

/** As in `--password hunter2`. */
function followsSecretFlag(before: string | undefined): boolean {
  return before !== undefined && /^--?[^=\s]+$/.test(before) && isSecretName(before)
}

/** One file to be written. */
export interface ExportedFile {
  /** Name, without folders. */
  readonly name: string
  readonly text: string
}

/** What an engine takes over, and what a person has to know or do before it can. */
export interface Export {
  readonly files: readonly ExportedFile[]
  /** One line each, without secrets: where secrets go, and what the engine cannot do as the orchestrator does it. */
  readonly notes: readonly string[]
}

/** What a person has to know about one process, or about all if `about` is null. */
export interface Note {
  readonly about: string | null
  readonly text: string
}

/** One line for each text, however many processes it is about. */
export function noteLines(notes: readonly Note[]): readonly string[] {
  const about = new Map<string, string[]>()
  for (const note of notes) {
    const names = about.get(note.text) ?? []
    about.set(note.text, note.about === null ? names : [...names, note.about])
  }
  return Array.from(about, ([text, names]) => (names.length === 0 ? text : `${names.join(', ')}: ${text}`))
}

/** Those that apply, of one process. */
export function notesAbout(about: string, texts: readonly (string | false)[]): readonly Note[] {
  return texts.filter((text) => text !== false).map((text) => ({ about, text }))
}
