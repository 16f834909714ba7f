import { dirname, isAbsolute, join, relative } from 'node:path'
import type { ResolvedConfig } from '../config/resolved.ts'
import type { ExportedProbe, ExportedProcess, GraphOptions, Note, Word } from './exported-graph.ts'

/*
 * What Compose and Kubernetes have in common: programs in an image that holds the configuration's folder.
 */

export interface ContainerOptions extends GraphOptions {
  readonly project: string
  /** The image that holds the programs of all processes. */
  readonly image: string
}

/** Where the image has the configuration's folder. */
const imageFolder = '/app'
/** A process with a `notify` probe writes its newline in here. */
const readyFile = '/tmp/ponix-ready'

/** The whole command; with a shell only where a secret or a notification needs one, which `exec` then leaves. */
export function containerCommand({ words, readiness }: ExportedProcess): readonly string[] {
  const isNotified = readiness?.check.type === 'notify'
  const texts = words.flatMap((word) => ('text' in word ? [word.text] : []))
  if (!isNotified && texts.length === words.length) return texts
  return ['/bin/sh', '-c', `${isNotified ? `exec 3>${readyFile}; export NOTIFY_FD=3; ` : ''}exec ${shellLine(words)}`]
}

/** A command that ends with 0 if the process is ready; null where only the orchestrator can tell. */
export function probeCommand({ check }: ExportedProbe): string | null {
  if (check.type === 'exec') return shellLine(check.words)
  if (check.type === 'notify') return `test -s ${readyFile}`
  if (check.type === 'http_get') {
    const url = shellWord(check.url)
    return `curl -fsSk -o /dev/null ${url} || wget -q -O /dev/null ${url}`
  }
  if (check.type === 'log_line') return null
  const address = [{ text: check.host }, { text: String(check.port) }]
  return `nc -z ${shellLine(address)} || bash -c 'exec 3<>"/dev/tcp/$0/$1"' ${shellLine(address)}`
}

/** The working directory in the image, and whether it is one that the image has by itself. */
export function containerFolder(config: ResolvedConfig, cwd: string): string {
  const inside = relative(dirname(config.path), cwd)
  return inside.startsWith('..') || isAbsolute(inside) ? cwd : join(imageFolder, inside)
}

/** The file's PATH is one of this machine; the image has its own. */
export function containerEnvironment({ environment }: ExportedProcess): Readonly<Record<string, string>> {
  const { PATH: _, ...rest } = environment
  return rest
}

/** What holds for any engine of containers. */
export function imageNotes({ image }: ContainerOptions): readonly Note[] {
  return [
    `the image ${image} must hold this configuration's folder as ${imageFolder}, and the programs on its PATH`,
    'what processes write into their containers goes with them: give those that keep data a volume',
  ].map((text) => ({ about: null, text }))
}

export const logLineNote = 'its log_line cannot be looked for from outside, so "ready" means that it was started'
export const logFileNote = "the container's own log takes the place of its log.file"

/** A word as a POSIX shell reads it back; a secret is what its variable holds. */
function shellWord(word: Word): string {
  if ('secret' in word) return `"\$${word.secret}"`
  return /^[\w/.,:=@%+-]+$/.test(word.text) ? word.text : `'${word.text.replaceAll("'", String.raw`'\''`)}'`
}

function shellLine(words: readonly Word[]): string {
  return words.map(shellWord).join(' ')
}
