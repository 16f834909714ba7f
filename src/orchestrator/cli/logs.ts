import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { PassThrough, type Readable } from 'node:stream'
import { logEntry, statusAnswer } from '../control/protocol.ts'
import { forTerminal, linePrefix, loadPretty, prefixWidth } from '../supervisor/output/line-writers.ts'
import { decodeUtf8, encodeUtf8 } from '../supervisor/output/lines.ts'
import { adviseOnPatterns, ControlClient } from './control-client.ts'
import { type FileOptions, showsColour } from './options.ts'

export interface LogOptions {
  readonly processes: readonly string[]
  readonly tail: number
  readonly follow: boolean
  readonly json: boolean
}

/** Prints the last lines of the processes and, with `follow`, new lines until the orchestrator ends. */
export async function logs(file: FileOptions, { processes, tail, follow, json }: LogOptions): Promise<void> {
  const client = new ControlClient(file)
  const query = new URLSearchParams(processes.map((name): [string, string] => ['process', name]))
  query.set('tail', String(tail))
  if (follow) query.set('follow', '1')
  const render = json
    ? (line: string) => line
    : await lineRenderer((await client.call('GET', '/status', statusAnswer)).processes.map(({ name }) => name))
  const entries = await adviseOnPatterns(
    processes,
    client.open('GET', `/logs?${query.toString()}`, { hasTimeLimit: !follow }),
  )
  for await (const line of createInterface({ input: untilClosed(entries) })) {
    if (!process.stdout.writable) return
    if (!process.stdout.write(`${render(line)}\n`)) await once(process.stdout, 'drain')
  }
}

/** Returns the stream with a normal end where the orchestrator resets the connection because it ends. */
function untilClosed(entries: Readable): Readable {
  const lines = new PassThrough()
  entries.on('error', () => lines.end()).pipe(lines)
  return lines
}

/** Returns a function that renders an entry as the orchestrator shows the line. */
async function lineRenderer(names: readonly string[]): Promise<(line: string) => string> {
  const width = prefixWidth([...names, 'orchestrator'])
  const colour = showsColour(process.stdout)
  const pretty = process.stdout.isTTY ? await loadPretty(colour) : null
  return (line) => {
    const entry = logEntry.parse(JSON.parse(line))
    const name = 'dropped' in entry ? 'orchestrator' : entry.process
    const prefix = linePrefix(name, width, colour && names.includes(name) ? names.indexOf(name) : null)
    if ('dropped' in entry) return `${prefix}${entry.dropped} lines dropped: the reader was too slow`
    if (pretty === null) return prefix + entry.line
    return prefix + decodeUtf8(forTerminal(encodeUtf8(entry.line), prefix, pretty)).text
  }
}
