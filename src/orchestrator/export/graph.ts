import type { ResolvedConfig, ResolvedProbe, ResolvedProcess } from '../config/resolved.ts'
import { hideSecrets, isSecretVariable, secretValuesOf, type Word } from './secret-words.ts'

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
function isSetByUs(variable: string, { name, group }: ResolvedProcess): boolean {
  return variable === 'MQTT_BROKER' || (variable === 'PONIX_REPLICA' && name !== group)
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
