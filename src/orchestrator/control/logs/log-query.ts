import { parseTime, timeForm } from '../../config/duration.ts'
import { messageOf, RequestError } from '../../config/errors.ts'
import type { LogEntry, LogLine } from '../../supervisor/output/log-history.ts'
import { flagIn } from '../query.ts'
import { isAtLeast, levelOfLine, type LogLevel, logLevels } from '../../supervisor/output/log-level.ts'

/** The number of lines of each process without other limits. */
const DEFAULT_TAIL = 100

/** The conditions that can be checked without a regular expression. Times are in milliseconds since 1970. */
export interface LogFilter {
  readonly since: number | null
  readonly until: number | null
  /** The lowest level; lines without a level are then left out. */
  readonly level: LogLevel | null
  /** The stream of the lines; null: both. The messages of the orchestrator are on stderr. */
  readonly stream: LogLine['stream'] | null
  /** Whether messages of the orchestrator are included. */
  readonly events: boolean
}

export interface LogQuery {
  /** Names as typed; empty means all processes, including those that a reload adds. */
  readonly names: readonly string[]
  readonly filter: LogFilter
  readonly grep: RegExp | null
  /** The number of lines of each process that pass the filter; Infinity means all. */
  readonly tail: number
  readonly follow: boolean
  /** Whether lines of processes with `log.quiet` are included. */
  readonly quiet: boolean
}

export const logStreams = ['stdout', 'stderr'] as const

export const logParameterNames = [
  'process',
  'tail',
  'follow',
  'since',
  'until',
  'grep',
  'ignore_case',
  'level',
  'stream',
  'events',
  'quiet',
] as const

/** Describes the parameters in the table of routes. */
export const logParameters =
  `process=NAME (repeatable; default: all), tail=LINES of each or all (default: ${DEFAULT_TAIL}, and all with since, until, grep, level or stream), ` +
  'follow=1 (stream new lines), since=TIME and until=TIME (a duration ago, such as 10m, or an ISO time), grep=REGEXP, ignore_case=1, ' +
  `level=LEVEL (${logLevels.join(', ')}: lines of at least this level), stream=stdout or stderr, events=0 (without the messages of the orchestrator), quiet=0 (without the lines of processes with log.quiet)`

/** Reads the parameters of a request; throws a RequestError if one is invalid. `now`: milliseconds since 1970. */
export function parseLogQuery(query: URLSearchParams, now: number): LogQuery {
  const given = (name: string): string | null => query.get(name) ?? null
  const time = (name: string): number | null => {
    const typed = given(name)
    return typed === null ? null : (parseTime(typed, now) ?? reject(name, timeForm))
  }
  const filter = {
    since: time('since'),
    until: time('until'),
    level: parseChoice('level', logLevels, given('level')),
    stream: parseChoice('stream', logStreams, given('stream')),
    events: flagIn(query, 'events', true),
  }
  const grep = parsePattern(given('grep'), flagIn(query, 'ignore_case', false))
  const { since, until, level, stream } = filter
  const isLimited = [grep, since, until, level, stream].some((condition) => condition !== null)
  return {
    names: query.getAll('process'),
    filter,
    grep,
    tail: parseTail(given('tail') ?? (isLimited ? 'all' : String(DEFAULT_TAIL))),
    follow: flagIn(query, 'follow', false),
    quiet: flagIn(query, 'quiet', true),
  }
}

function parseTail(typed: string): number {
  if (typed === 'all') return Infinity
  return /^\d{1,9}$/.test(typed) ? Number(typed) : reject('tail', tailForm)
}

const tailForm = 'a whole number of 0 or more, or all'

function parseChoice<T extends string>(name: string, choices: readonly T[], typed: string | null): T | null {
  if (typed === null) return null
  return choices.find((choice) => choice === typed) ?? reject(name, `one of ${choices.join(', ')}`)
}

function parsePattern(source: string | null, ignoreCase: boolean): RegExp | null {
  if (source === null) return null
  try {
    return new RegExp(source, ignoreCase ? 'i' : '')
  } catch (error) {
    throw new RequestError(400, `grep: ${messageOf(error)}`)
  }
}

function reject(name: string, expected: string): never {
  throw new RequestError(400, `${name}: expected ${expected}`)
}

export function isLine(entry: LogEntry): entry is LogLine {
  return 'line' in entry
}

/** Returns the text of an entry that a regular expression is matched against. */
export function textOf(entry: LogEntry): string {
  return isLine(entry) ? entry.line : entry.message
}

/** Returns whether an entry has the required time, level, stream and kind. */
export function passes({ since, until, level, stream, events }: LogFilter, entry: LogEntry): boolean {
  if (since !== null && entry.time < since) return false
  if (until !== null && entry.time > until) return false
  if (!isLine(entry)) return events && stream !== 'stdout' && (level === null || isAtLeast(entry.level, level))
  if (stream !== null && entry.stream !== stream) return false
  if (level === null) return true
  const own = levelOfLine(entry.line)
  return own !== null && isAtLeast(own, level)
}

/**
 * Returns the number of lines that are left out only because they have no level; 0 if a line passes, because then the level can
 * be found.
 */
export function countWithoutLevel(filter: LogFilter, entries: readonly LogEntry[]): number {
  if (filter.level === null || entries.some((entry) => isLine(entry) && passes(filter, entry))) return 0
  const others = { ...filter, level: null }
  return entries.filter((entry) => isLine(entry) && passes(others, entry) && levelOfLine(entry.line) === null).length
}

/**
 * Returns the last `count` lines of each process with the messages between and after them, but at most `count` messages about each
 * process, and about the whole graph.
 */
export function lastEntries(entries: readonly LogEntry[], count: number): readonly LogEntry[] {
  if (count === Infinity) return entries
  const lines = new Map<string, number>()
  const messages = new Map<string | null, number>()
  const kept = entries.toReversed().filter((entry) => {
    const { process } = entry
    const counts: Map<string | null, number> = isLine(entry) ? lines : messages
    const number = (counts.get(process) ?? 0) + 1
    const isComplete = process !== null && (lines.get(process) ?? 0) >= count
    if (isComplete || number > count) return false
    counts.set(process, number)
    return true
  })
  return kept.toReversed()
}
