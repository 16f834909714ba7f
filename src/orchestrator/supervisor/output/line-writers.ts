import { decodeUtf8, encodeUtf8, type LinesHandler } from './lines.ts'
import { withoutScreenSequences } from '../terminal/terminal-lines.ts'
import type { Prefix } from './prefixes.ts'
import type { Sink } from './sink.ts'

/** Formats a pino log record as a line for a terminal. */
export type Pretty = (record: object) => string

/** Loads pino-pretty, which is needed only for readable records. */
export async function loadPretty(colorize: boolean): Promise<Pretty> {
  const { prettyFactory } = await import('pino-pretty')
  // The prefix names the process.
  return prettyFactory({ ignore: 'pid,hostname,name', translateTime: 'SYS:HH:MM:ss.l', singleLine: true, colorize })
}

const ESCAPE = '\u001b'
/** Erases the text that a shorter one would leave. */
const ERASE_REST = `${ESCAPE}[K`
const SPECIAL = ['{', '\r', ESCAPE]
const PROGRESS = /\r(?!$)/g

/** Returns a writer for pipes and files: prefix and line, bytes unchanged. */
export function plainWriter(sink: Sink, prefix: Prefix): LinesHandler {
  let last: string | null = null
  let head = ''
  let separator = '\n'
  return (lines) => {
    const current = prefix()
    if (current !== last) {
      last = current
      head = encodeUtf8(current)
      separator = `\n${head.replaceAll('$', '$$$$')}`
    }
    sink.append(head, lines.replaceAll('\n', separator))
  }
}

/**
 * Returns a writer for a terminal: a progress line that is rewritten with `\r` keeps its prefix, colours are reset at the end of
 * a line, other escape sequences are left out, and pino's JSON is formatted.
 */
export function terminalWriter(sink: Sink, prefix: Prefix, pretty: Pretty): LinesHandler {
  const plain = plainWriter(sink, prefix)
  return (lines) => {
    if (!SPECIAL.some((text) => lines.includes(text))) return plain(lines)
    const head = encodeUtf8(prefix())
    for (const line of lines.split('\n')) plain(forTerminal(line, head, pretty))
  }
}

/** Renders one line as `terminalWriter` shows it after `prefix`; all are latin1 strings of UTF-8 bytes. */
export function forTerminal(line: string, prefix: string, pretty: Pretty): string {
  const record = parseObject(line)
  // A pino record has a numeric or textual level.
  const isLogRecord = ['number', 'string'].includes(typeof record?.['level']) && record?.['time'] !== undefined
  // A text in a record can contain sequences, too.
  if (record !== null && isLogRecord) return withoutScreenSequences(encodeUtf8(pretty(record)).replace(/\n$/, ''))
  return withoutScreenSequences(line).replaceAll(PROGRESS, () => `\r${ERASE_REST}${prefix}`)
}

export interface LineOrigin {
  readonly process: string
  readonly pid: number
  readonly stream: 'stdout' | 'stderr'
}

/**
 * Returns a writer of one JSON object per line: `time` (milliseconds since 1970), `process`, `pid`, `stream`, `line`, and `line_base64` if the
 * bytes are not UTF-8. The fields of a line that is a JSON object are merged instead of `line`: its `time` and `pid` take
 * precedence, its `process` and `stream` move below `child`.
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

/** Merges fields into the text of the line, which preserves the order of its fields and numbers beyond a double. */
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
  const conflicting = ['process', 'stream'].filter((key) => Object.hasOwn(record, key))
  if (conflicting.length > 0) {
    const child = Object.fromEntries(conflicting.map((key) => [key, record[key]]))
    return encodeUtf8(JSON.stringify({ ...record, ...ours, child }))
  }
  return `${encodeUtf8(JSON.stringify(ours)).slice(0, -1)},${line.trim().slice(1)}`
}

/** Parses a line that is a non-empty JSON object; null otherwise. */
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
