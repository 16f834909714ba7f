import { stripVTControlCharacters } from 'node:util'

/** The levels of log lines, from the lowest. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const
export type LogLevel = (typeof logLevels)[number]

/** Words of other loggers, of syslog and of cloud platforms. */
const synonyms = new Map<string, LogLevel>([
  ['verbose', 'debug'],
  ['information', 'info'],
  ['notice', 'info'],
  ['warning', 'warn'],
  ['err', 'error'],
  ['critical', 'fatal'],
  ['crit', 'fatal'],
  ['alert', 'fatal'],
  ['emergency', 'fatal'],
  ['emerg', 'fatal'],
  ['panic', 'fatal'],
])

/** Fields of JSON records that hold a level: of pino, bunyan, Google Cloud, log15 and the Elastic Common Schema. */
const fields = ['level', 'severity', 'lvl', 'log.level'] as const

/** The field of a logfmt line, such as `level=warn` or `lvl="warn"`. */
const logfmt = /(?:^|\s)(?:level|severity|lvl)="?([a-z]{3,11})"?(?:\s|$)/i

/** Returns whether `level` is at least `threshold`. */
export function isAtLeast(level: LogLevel, threshold: LogLevel): boolean {
  return logLevels.indexOf(level) >= logLevels.indexOf(threshold)
}

/**
 * Returns the level of a line of output: of a JSON record of pino, bunyan or a logger with a level in words, or of a logfmt line.
 * Null if the line states none.
 */
export function levelOfLine(line: string): LogLevel | null {
  const text = line.includes('\u001b') ? stripVTControlCharacters(line) : line
  if (text.startsWith('{')) return levelOfRecord(text)
  return levelOfWord(logfmt.exec(text)?.[1] ?? '')
}

function levelOfRecord(text: string): LogLevel | null {
  const record = parse(text)
  if (typeof record !== 'object' || record === null) return null
  const values = fields.map((field): unknown => Reflect.get(record, field))
  const value = values.find((some) => typeof some === 'string' || typeof some === 'number')
  return typeof value === 'number' ? levelOfNumber(value) : levelOfWord(value ?? '')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** Returns the level of a number of pino and bunyan: 10 is trace, 60 fatal; a number between two belongs to the lower one. */
function levelOfNumber(value: number): LogLevel | null {
  return value < 10 ? null : (logLevels[Math.floor(Math.min(value, 60) / 10) - 1] ?? null)
}

function levelOfWord(word: string): LogLevel | null {
  const lower = word.toLowerCase()
  return logLevels.find((level) => level === lower) ?? synonyms.get(lower) ?? null
}
