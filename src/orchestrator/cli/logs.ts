import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { PassThrough, type Readable } from 'node:stream'
import { statusAnswer, logEntry } from '../control/protocol.ts'
import { forTerminal, linePrefix, prefixWidth, loadPretty } from '../supervisor/output/line-writers.ts'
import { decodeUtf8, encodeUtf8 } from '../supervisor/output/lines.ts'
import type { ControlClient } from './control-client.ts'

export interface LogOptions {
  readonly processes: readonly string[]
  readonly tail: number
  readonly follow: boolean
  readonly json: boolean
}

/** `logs`: what the processes of a running orchestrator said last, and with `follow` what they say next (O-9). */
export async function logs(client: ControlClient, options: LogOptions): Promise<number> {
  const query = new URLSearchParams(options.processes.map((name): [string, string] => ['process', name]))
  query.set('tail', String(options.tail))
  if (options.follow) query.set('follow', '1')
  const render = options.json ? (line: string) => line : await renderer(client)
  const entries = await client.open('GET', `/logs?${query.toString()}`)
  for await (const line of createInterface({ input: untilClosed(entries) })) {
    if (!process.stdout.writable) return 0
    if (!process.stdout.write(`${render(line)}\n`)) await once(process.stdout, 'drain')
  }
  return 0
}

/** An orchestrator that ends cuts the connection: then that was all. */
function untilClosed(entries: Readable): Readable {
  const lines = new PassThrough()
  entries.on('error', () => lines.end()).pipe(lines)
  return lines
}

/** Shows an entry as the orchestrator itself shows the line. */
async function renderer(client: ControlClient): Promise<(line: string) => string> {
  const { processes } = await client.call('GET', '/status', statusAnswer)
  const names = processes.map(({ name }) => name)
  const width = prefixWidth([...names, 'orchestrator'])
  const { stdout } = process
  const colour = stdout.isTTY && stdout.hasColors()
  const pretty = stdout.isTTY ? await loadPretty(colour) : null
  return (line) => {
    const entry = logEntry.parse(JSON.parse(line))
    const name = 'dropped' in entry ? 'orchestrator' : entry.process
    const prefix = linePrefix(name, width, colour && names.includes(name) ? names.indexOf(name) : null)
    if ('dropped' in entry) return `${prefix}${entry.dropped} lines left out: they came faster than they were read`
    if (pretty === null) return prefix + entry.line
    return prefix + decodeUtf8(forTerminal(encodeUtf8(entry.line), prefix, pretty)).text
  }
}
