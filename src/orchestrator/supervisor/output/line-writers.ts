import { decodeUtf8, encodeUtf8, type LinesHandler } from './lines.ts'
import type { Sink } from './sink.ts'

/** Foreground colours that are readable on light and dark grounds; red is left to errors. */
const COLOURS = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94] as const

/** The width that all prefixes of these names are padded to. */
export function prefixWidth(names: readonly string[]): number {
  return Math.max(0, ...names.map((name) => name.length)) + '[] '.length
}

/**
 * `[name] `, padded with spaces to `width`. With `colourIndex` the name has one of ten colours, the same for the same
 * index; null is plain.
 */
export function linePrefix(name: string, width: number, colourIndex: number | null): string {
  const label = `[${name}]`
  const padding = ' '.repeat(Math.max(1, width - label.length))
  if (colourIndex === null) return label + padding
  return `\u001b[${COLOURS[colourIndex % COLOURS.length] ?? 39}m${label}\u001b[39m${padding}`
}

/** Renders a record of a child's log, one that pino could have written, as a line for people. */
export type Pretty = (record: object) => string

/** Loads pino-pretty, which is needed at a terminal only. */
export async function loadPretty(colorize: boolean): Promise<Pretty> {
  const { prettyFactory } = await import('pino-pretty')
  // The prefix says already who speaks.
  return prettyFactory({ ignore: 'pid,hostname,name', translateTime: 'SYS:HH:MM:ss.l', singleLine: true, colorize })
}

const ESCAPE = '\u001b'
const NEEDS_CARE = ['{', '\r', ESCAPE]
const PROGRESS = /\r(?!$)/g

/** Lines under their prefix, bytes as they came: for pipes and files. */
export function plainWriter(sink: Sink, prefix: string): LinesHandler {
  const separator = `\n${prefix.replaceAll('$', '$$$$')}`
  return (lines) => sink.append(prefix, lines.replaceAll('\n', separator))
}

/**
 * Lines for a person at a terminal: what rewrites its line with `\r` keeps the prefix, a colour that was left on does not
 * reach the next process's line, and pino's JSON is shown readable.
 */
export function terminalWriter(sink: Sink, prefix: string, pretty: Pretty): LinesHandler {
  const plain = plainWriter(sink, prefix)
  return (lines) => {
    if (!NEEDS_CARE.some((sign) => lines.includes(sign))) plain(lines)
    else for (const line of lines.split('\n')) plain(forTerminal(line, prefix, pretty))
  }
}

/** One line, one character a byte, as a person at a terminal is to see it under `prefix`. */
export function forTerminal(line: string, prefix: string, pretty: Pretty): string {
  const record = parseObject(line)
  if (record !== null && isLogRecord(record)) {
    return encodeUtf8(pretty(record)).replace(/\n$/, '')
  }
  const kept = line.replaceAll(PROGRESS, () => `\r${prefix}`)
  return line.includes(ESCAPE) ? `${kept}${ESCAPE}[0m` : kept
}

/** As pino writes it, with the level's number or its label. */
function isLogRecord({ level, time }: Record<string, unknown>): boolean {
  return (typeof level === 'number' || typeof level === 'string') && time !== undefined
}

export interface LineOrigin {
  readonly process: string
  readonly pid: number
  readonly stream: 'stdout' | 'stderr'
}

/**
 * One JSON object per line: `time` (milliseconds since 1970), `process`, `pid`, `stream`, `line`; with `line_base64` beside it
 * if the bytes were not UTF-8. A line that is a JSON object already is merged: its own fields stay at the top, with its own
 * `time` and `pid` if it has them; a `process` or `stream` of its own moves under `child`.
 */
export function jsonWriter(sink: Sink, origin: LineOrigin): LinesHandler {
  return (lines) => {
    const time = Date.now()
    for (const line of lines.split('\n')) {
      const record = parseObject(line)
      sink.append('', record === null ? quoted(line, time, origin) : merged(line, record, time, origin))
    }
  }
}

function quoted(line: string, time: number, origin: LineOrigin): string {
  const { text, valid } = decodeUtf8(line)
  const record = { time, ...origin, line: text }
  if (valid) return encodeUtf8(JSON.stringify(record))
  return encodeUtf8(JSON.stringify({ ...record, line_base64: Buffer.from(line, 'latin1').toString('base64') }))
}

/** Its own text is spliced in, so that numbers beyond a double and the order of its fields survive. */
function merged(
  line: string,
  record: Record<string, unknown>,
  time: number,
  { process, pid, stream }: LineOrigin,
): string {
  const ours = {
    ...(Object.hasOwn(record, 'time') ? {} : { time }),
    process,
    ...(Object.hasOwn(record, 'pid') ? {} : { pid }),
    stream,
  }
  const taken = ['process', 'stream'].filter((key) => Object.hasOwn(record, key))
  if (taken.length > 0) {
    const child = Object.fromEntries(taken.map((key) => [key, record[key]]))
    return encodeUtf8(JSON.stringify({ ...record, ...ours, child }))
  }
  return `${encodeUtf8(JSON.stringify(ours)).slice(0, -1)},${line.trim().slice(1)}`
}

/** The object that a line holds, if it is JSON, whole, valid UTF-8 and not empty. */
function parseObject(line: string): Record<string, unknown> | null {
  if (!line.startsWith('{') || !/\}\s*$/.test(line.slice(-3))) return null
  const { text, valid } = decodeUtf8(line)
  if (!valid) return null
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) && Object.keys(value).length > 0 ? value : null
  } catch {
    return null
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
