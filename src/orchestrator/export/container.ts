import { dirname, isAbsolute, join, relative } from 'node:path'
import { shellWord } from '../config/own-command.ts'
import type { ResolvedConfig } from '../config/resolved.ts'
import {
  copiedNote,
  type Export,
  type ExportedProbe,
  type ExportedProcess,
  type Note,
  noteLines,
  notesAbout,
  replicasNote,
  STARTUP_ATTEMPTS_NOTE,
  WATCH_NOTE,
  withheldNote,
  type Word,
} from './exported-graph.ts'
import { renderYaml, type YamlValue } from './yaml.ts'

/*
 * Common to Compose and Kubernetes: programs run in an image that contains the configuration's folder.
 */

export interface ContainerOptions {
  readonly project: string
  /** The image with the programs of all processes. */
  readonly image: string
  /** The absolute path of the folder for the exported file. */
  readonly folder: string
}

/** The configuration's folder in the image. */
const imageFolder = '/app'
/** A process with a `notify` probe writes its newline to this file. */
const readyFile = '/tmp/ponix-ready'

/** Returns program and arguments. A shell, which `exec` replaces, is used only if a secret or a notification needs it. */
export function containerCommand({ words, readiness }: ExportedProcess): readonly string[] {
  const isNotified = readiness?.check.type === 'notify'
  const texts = words.flatMap((word) => ('text' in word ? [word.text] : []))
  if (!isNotified && texts.length === words.length) return texts
  return ['/bin/sh', '-c', `${isNotified ? `exec 3>${readyFile}; export NOTIFY_FD=3; ` : ''}exec ${shellLine(words)}`]
}

/** Returns a shell command that exits with 0 if the process is ready; null if only the orchestrator can check this. */
export function probeCommand({ check }: ExportedProbe): string | null {
  switch (check.type) {
    case 'exec':
      return shellLine(check.words)
    case 'notify':
      return `test -s ${readyFile}`
    case 'http_get': {
      const url = quoted(check.url)
      return `curl -fsSk -o /dev/null ${url} || wget -q -O /dev/null ${url}`
    }
    case 'tcp_socket': {
      const address = shellLine([{ text: check.host }, { text: String(check.port) }])
      return `nc -z ${address} || bash -c 'exec 3<>"/dev/tcp/$0/$1"' ${address}`
    }
    case 'log_line':
      return null
  }
}

/** Returns the path of a folder in the container: below the configuration's folder it moves to the image's folder, else it stays. */
export function containerFolder(config: ResolvedConfig, cwd: string): string {
  const inside = relative(dirname(config.path), cwd)
  return inside.startsWith('..') || isAbsolute(inside) ? cwd : join(imageFolder, inside)
}

/** Returns the environment without PATH, which the image sets. */
export function containerEnvironment({ environment }: ExportedProcess): Readonly<Record<string, string>> {
  const { PATH: _, ...rest } = environment
  return rest
}

/** Renders documents to one file, with the notes as comments at its beginning. */
export function containerExport(
  name: string,
  documents: readonly YamlValue[],
  { image }: ContainerOptions,
  notes: readonly Note[],
): Export {
  const imageNotes = notesAbout(null, [
    `the image ${image} must contain this configuration's folder as ${imageFolder}, and the programs on its PATH`,
    'files that processes write are lost with their containers: add volumes for data to keep',
  ])
  const lines = noteLines([...imageNotes, ...notes])
  const comments = lines.map((line) => `# ${line}\n`).join('')
  return { files: [{ name, text: comments + documents.map(renderYaml).join('---\n') }], notes: lines }
}

/** Returns the notes that apply to every container engine. */
export function containerNotes(exported: ExportedProcess): readonly (string | false)[] {
  const { definition, readiness, instances } = exported
  return [
    withheldNote(exported),
    copiedNote(exported),
    replicasNote(exported),
    instances.length > 1 &&
      `its ${instances.length} replicas are equal, so PONIX_REPLICA is not set; a program that needs its number must use it in the file, for example in args`,
    readiness?.check.type === 'log_line' &&
      'its log_line cannot be checked from outside the container, so the process counts as ready when it has started',
    definition.log.file !== null && "the container's log replaces its log.file",
    definition.watch !== null && WATCH_NOTE,
    definition.onFailed !== null && 'its on_failed has no counterpart: nothing runs when it fails',
    Number.isFinite(definition.restart.startupAttempts) && STARTUP_ATTEMPTS_NOTE,
    definition.successExitCodes.join() !== '0' &&
      'success_exit_codes has no counterpart: only exit code 0 is a success',
  ]
}

/** Returns the note about the programs that `probeCommand` runs, for the probes of a process. */
export function probeProgramNotes(probes: readonly (ExportedProbe | null)[]): readonly (string | false)[] {
  const has = (type: ExportedProbe['check']['type']) => probes.some((probe) => probe?.check.type === type)
  return [
    has('tcp_socket') && 'its tcp_socket is checked by nc or bash, one of which the image must contain',
    has('http_get') && 'its http_get is checked by curl or wget, one of which the image must contain',
  ]
}

/** Quotes a word for a POSIX shell; a secret is read from its variable. */
function quoted(word: Word): string {
  return 'secret' in word ? `"\$${word.secret}"` : shellWord(word.text)
}

function shellLine(words: readonly Word[]): string {
  return words.map(quoted).join(' ')
}
