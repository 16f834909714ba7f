import type { ServerResponse } from 'node:http'
import { messageOf, RequestError } from '../../config/errors.ts'
import type { LogEntry } from '../../supervisor/output/log-history.ts'
import { Timer } from '../../supervisor/timers.ts'
import { Grep } from './grep.ts'
import { countWithoutLevel, isLine, lastEntries, type LogQuery, passes, textOf } from './log-query.ts'
import type { LogRecord } from '../protocol.ts'
import type { ControlTarget } from '../target.ts'

/** The limit of buffered bytes for a slow reader; further entries are dropped and counted. */
const MAX_BUFFERED_BYTES = 1024 * 1024
/** The limits of entries that wait for a slow regular expression; further entries are dropped and counted. */
const MAX_PENDING_ENTRIES = 10_000
const MAX_PENDING_CHARACTERS = 4 * 1024 * 1024

type LogTarget = Pick<ControlTarget, 'logs' | 'names' | 'resolveNames' | 'isQuiet'>
type Select = (entry: LogEntry) => boolean

/**
 * Answers with the selected entries and, with `follow`, with new ones until the reader closes, or until the time `until`. A slow
 * reader loses entries and never slows a process. Throws a RequestError for an unknown name.
 */
export function sendLogs(target: LogTarget, query: LogQuery, response: ServerResponse): void {
  const names = query.names.length === 0 ? target.names : target.resolveNames(query.names)
  const isChosen = processSelector(target, query.names, names)
  const isShown = (entry: LogEntry) => query.quiet || !isLine(entry) || !target.isQuiet(entry.process)
  const select = (entry: LogEntry) => isChosen(entry.process) && isShown(entry) && passes(query.filter, entry)
  const answer = new LogAnswer(response, query.grep === null ? null : new Grep(query.grep))
  const { since, until } = query.filter
  const chosen = target.logs
    .read(names, query.names.length === 0)
    .filter((entry) => isChosen(entry.process) && isShown(entry))
  const withoutLevel = countWithoutLevel(query.filter, chosen)
  const kept = chosen.filter((entry) => passes(query.filter, entry))
  answer.search(kept, (found) => {
    const last = lastEntries(found, query.tail)
    return [
      ...(since === null ? [] : lostLines(target, names, since, query.tail, last)),
      ...(withoutLevel === 0 ? [] : [{ without_level: withoutLevel }]),
      ...last,
    ]
  })
  const remainingMs = until === null ? Infinity : until - Date.now()
  if (query.follow && remainingMs > 0) answer.follow(target.logs, select, remainingMs)
  else answer.end()
}

/**
 * Returns whether the messages and lines of a process are requested: of all processes without `names`, else of those that the names
 * mean now or after a reload.
 */
function processSelector(target: LogTarget, names: readonly string[], initial: readonly string[]) {
  const known = new Map(initial.map((name) => [name, true]))
  const isNamed = (process: string) => names.some((name) => resolve(target, name).includes(process))
  return (process: string | null): boolean => {
    if (names.length === 0) return true
    if (process === null) return false
    const isChosen = known.get(process) ?? isNamed(process)
    known.set(process, isChosen)
    return isChosen
  }
}

function resolve(target: LogTarget, name: string): readonly string[] {
  try {
    return target.resolveNames([name])
  } catch (error) {
    // A reload has removed the process.
    if (error instanceof RequestError) return []
    throw error
  }
}

/** Returns a record for each process whose lines since the requested time are not all kept. */
function lostLines(
  { logs }: LogTarget,
  names: readonly string[],
  since: number,
  tail: number,
  shown: readonly LogEntry[],
): readonly LogRecord[] {
  return names.flatMap((process) => {
    const lostUntil = logs.lostUntil(process)
    if (lostUntil === null || lostUntil < since) return []
    const count = shown.filter((entry) => isLine(entry) && entry.process === process).length
    return count >= tail ? [] : [{ process, lost_until: lostUntil }]
  })
}

type Search = Pick<Grep, 'select' | typeof Symbol.dispose>

/** Writes records to a response, those that a regular expression must match in the order of the searches. */
export class LogAnswer {
  readonly #response: ServerResponse
  readonly #grep: Search | null
  readonly #timer = new Timer()
  #searches = Promise.resolve()
  #pending = { entries: 0, characters: 0 }
  /** True from an overflow of the response until it has drained. */
  #isFull = false
  #dropped = 0
  #unfollow = (): void => undefined

  constructor(response: ServerResponse, grep: Search | null) {
    this.#response = response
    this.#grep = grep
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    // It can take long until the first line.
    response.flushHeaders()
    response.on('drain', () => {
      this.#isFull = false
      this.#reportDropped()
    })
    response.once('close', () => this.#close())
  }

  /** Writes the records that `recordsOf` makes of the matching entries. */
  search(entries: readonly LogEntry[], recordsOf: (found: readonly LogEntry[]) => readonly object[]): void {
    const grep = this.#grep
    if (grep === null) return this.#write(recordsOf(entries))
    this.#searches = this.#searches.then(async () => {
      try {
        this.#write(recordsOf(await grep.select(entries, textOf)))
      } catch (error) {
        this.#send([{ error: messageOf(error) }])
        this.#finish()
      }
    })
  }

  /** Writes new entries for `durationMs`. */
  follow(logs: ControlTarget['logs'], select: Select, durationMs: number): void {
    this.#unfollow = logs.follow((entries) => {
      const chosen = entries.filter(select)
      if (chosen.length > 0) this.#add(chosen)
    })
    if (Number.isFinite(durationMs)) this.#timer.set(durationMs, () => this.end())
  }

  /** Ends the response when everything is written. */
  end(): void {
    this.#unfollow()
    void this.#searches.then(() => this.#finish())
  }

  #add(entries: readonly LogEntry[]): void {
    if (this.#grep === null) return this.#write(entries)
    const characters = entries.reduce((sum, entry) => sum + textOf(entry).length, 0)
    const pending = this.#pending
    if (
      pending.entries + entries.length > MAX_PENDING_ENTRIES ||
      pending.characters + characters > MAX_PENDING_CHARACTERS
    ) {
      this.#dropped += entries.length
      return
    }
    pending.entries += entries.length
    pending.characters += characters
    this.search(entries, (found) => {
      pending.entries -= entries.length
      pending.characters -= characters
      return found
    })
  }

  #write(records: readonly object[]): void {
    if (records.length > 0) {
      this.#isFull ||= this.#response.writableLength > MAX_BUFFERED_BYTES
      if (this.#isFull) this.#dropped += records.length
      else this.#send(records)
    }
    this.#reportDropped()
  }

  /** Reports dropped entries at their place: after those that still wait. */
  #reportDropped(): void {
    if (this.#dropped === 0 || this.#isFull || this.#pending.entries > 0) return
    this.#send([{ dropped: this.#dropped }])
    this.#dropped = 0
  }

  #send(records: readonly object[]): void {
    if (this.#response.destroyed || this.#response.writableEnded) return
    this.#response.write(records.map((record) => `${JSON.stringify(record)}\n`).join(''))
  }

  #finish(): void {
    this.#close()
    this.#isFull = false
    this.#reportDropped()
    this.#response.end()
  }

  #close(): void {
    this.#unfollow()
    this.#timer.clear()
    this.#grep?.[Symbol.dispose]()
  }
}
