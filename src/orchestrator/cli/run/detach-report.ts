import type { FileOptions } from '../options.ts'
import { ControlClient } from '../remote/control-client.ts'
import { parseEntry } from '../remote/logs.ts'

/** The events whose messages show the progress of a start. */
const PROGRESS = new Set(['process_ready', 'process_completed', 'process_failed', 'restart_scheduled', 'waiting'])
const LAST_LINES = 20

/** Prints the progress of the start in the background to stderr until `signal` is aborted or the orchestrator ends. */
export async function showProgress(file: FileOptions, signal: AbortSignal): Promise<void> {
  const records = await new ControlClient(file).lines('/logs?tail=100&follow=1', { signal })
  for await (const line of records) {
    const record = parseEntry(line)
    if (!('message' in record) || record.event === null || signal.aborted) continue
    if (PROGRESS.has(record.event.type)) process.stderr.write(`${record.message}\n`)
  }
}

/** Resolves with the last lines of a process that the orchestrator keeps, as quoted output. */
export async function lastLinesOf(file: FileOptions, name: string): Promise<string> {
  const query = new URLSearchParams({ process: name, tail: String(LAST_LINES), events: '0' })
  const lines: string[] = []
  const records = await new ControlClient(file).lines(`/logs?${query.toString()}`)
  for await (const line of records) {
    const record = parseEntry(line)
    if ('line' in record) lines.push(`  | ${record.line}\n`)
  }
  return lines.join('')
}

/**
 * Returns the first message about a failed process in a log, with the last lines of the process; null if there is none, as in a log
 * in another format.
 */
export function failureIn(log: string): string | null {
  const lines = log.split('\n')
  const reason = /\[orchestrator\] +((\S+): (?:failed permanently|could not be started)\b.*)$/
  const at = lines.findIndex((line) => reason.test(line))
  const [, message, name] = reason.exec(lines[at] ?? '') ?? []
  if (message === undefined) return null
  // All prefixes have the same width.
  const width = lines[at]?.indexOf(message) ?? 0
  const output = lines
    .slice(0, at)
    .flatMap((line) => (line.slice(0, width).includes(`[${name}]`) ? [`  | ${line.slice(width)}`] : []))
  return [message.replace(/; its last output:$/, ''), ...output.slice(-LAST_LINES)].map((line) => `${line}\n`).join('')
}
