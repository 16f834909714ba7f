import { createInterface } from 'node:readline'
import { PassThrough, type Readable } from 'node:stream'
import type { ControlClient } from './control-client.ts'
import { statusAnswer, logEntry } from '../supervisor/control/status.ts'
import { linePrefix, prefixWidth } from '../supervisor/output/prefix.ts'

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
  const prefixOf = options.json ? () => '' : await prefixes(client)
  const entries = await client.open('GET', `/logs?${query.toString()}`)
  for await (const line of createInterface({ input: untilClosed(entries) })) {
    if (!process.stdout.writable) return 0
    const shown = options.json ? line : render(line, prefixOf)
    if (!process.stdout.write(`${shown}\n`)) await new Promise((resolve) => process.stdout.once('drain', resolve))
  }
  return 0
}

/** An orchestrator that ends cuts the connection: then that was all. */
function untilClosed(entries: Readable): Readable {
  const lines = new PassThrough()
  entries.on('error', () => lines.end()).pipe(lines)
  return lines
}

async function prefixes(client: ControlClient): Promise<(name: string) => string> {
  const { processes } = await client.call('GET', '/status', statusAnswer)
  const names = processes.map(({ name }) => name)
  const width = prefixWidth([...names, 'orchestrator'])
  const colour = process.stdout.isTTY && process.stdout.hasColors()
  return (name) => linePrefix(name, width, colour ? names.indexOf(name) : null)
}

function render(line: string, prefixOf: (name: string) => string): string {
  const entry = logEntry.parse(JSON.parse(line))
  if ('dropped' in entry)
    return `${prefixOf('orchestrator')}${entry.dropped} lines left out: they came faster than they were read`
  return `${prefixOf(entry.process)}${entry.line}`
}
