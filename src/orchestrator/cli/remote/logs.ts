import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseTime, timeForm } from '../../config/duration.ts'
import { messageOf, UserError } from '../../config/errors.ts'
import { logEntry, type LogRecord, statusAnswer } from '../../control/protocol.ts'
import { forTerminal, loadPretty } from '../../supervisor/output/line-writers.ts'
import { decodeUtf8, encodeUtf8 } from '../../supervisor/output/lines.ts'
import { Prefixes, type PrefixOptions } from '../../supervisor/output/prefixes.ts'
import type { PromptLine } from '../../supervisor/output/prompt-line.ts'
import { runFolder } from '../../supervisor/guard/run-folder.ts'
import { ControlClient, isNotRunning, processQuery, REJECTED } from './control-client.ts'
import { columnsOf, type FileOptions, showsColour } from '../options.ts'
import { ownLines } from '../run/reporter.ts'

/** The options as typed. */
export interface LogOptions {
  readonly follow?: true
  readonly tail?: string
  readonly since?: string
  readonly until?: string
  readonly grep?: string
  readonly ignoreCase?: true
  readonly level?: string
  readonly stream?: string
  /** False with `--no-events`. */
  readonly events: boolean
  readonly json?: true
  /** Without the lines of processes with `log.quiet`, as `run` shows them. */
  readonly quiet?: true
}

interface LogDisplay {
  readonly prefix: PrefixOptions
  /** The last line of the terminal; null: none. */
  readonly prompt?: PromptLine | null
}

/** Throws the error; if no orchestrator runs and a detached run has left its log file, the message names the file. */
async function throwWithLogFile(file: FileOptions, error: unknown): Promise<never> {
  if (!isNotRunning(error)) throw error
  const { defaultLogFile } = await import('../run/detach.ts')
  const path = defaultLogFile(resolve(file.config), runFolder(file.config, process.env), process.env)
  if (path === null || !existsSync(path)) throw error
  throw new UserError(`${messageOf(error)}; the output of the last run in the background is in ${path}`, 3)
}

/**
 * Prints the last lines of the processes and the messages about them and, with `follow`, new ones until the orchestrator ends.
 * Rejects with a UserError for an invalid option.
 */
export async function logs(
  file: FileOptions,
  processes: readonly string[],
  options: LogOptions,
  { prefix, prompt = null }: LogDisplay,
): Promise<void> {
  const query = toQuery(processes, options, Date.now())
  const client = new ControlClient(file)
  const hasTimeLimit = options.follow !== true
  const render =
    options.json === true
      ? (line: string) => line
      : await recordRenderer(client, prefix, hasTimeLimit).catch((error: unknown) => throwWithLogFile(file, error))
  const records = await client.lines(`/logs?${query.toString()}`, { hasTimeLimit, names: processes })
  for await (const line of records) {
    if (line.startsWith('{"error":')) throw new UserError(reasonIn(line), REJECTED)
    if (options.json !== true && line.startsWith('{"without_level":')) {
      process.stderr.write(`ponix-orchestrator: ${reasonIn(line)}\n`)
      continue
    }
    const [before, after] = prompt?.around() ?? ['', '']
    if (!process.stdout.write(`${before}${render(line)}\n${after}`)) await once(process.stdout, 'drain')
  }
}

/** Returns the parameters of the request. `now`: milliseconds since 1970. */
function toQuery(processes: readonly string[], options: LogOptions, now: number): URLSearchParams {
  const { follow, tail, since, until, grep, ignoreCase, level, stream, events } = options
  const query = processQuery(processes)
  const set = (name: string, value: string | undefined) => value !== undefined && query.set(name, value)
  set('tail', tail === undefined ? undefined : checkTail(tail))
  set('since', since === undefined ? undefined : toIsoTime('--since', since, now))
  set('until', until === undefined ? undefined : toIsoTime('--until', until, now))
  set('grep', grep === undefined ? undefined : checkPattern(grep))
  set('ignore_case', ignoreCase === true ? '1' : undefined)
  set('level', level)
  set('stream', stream)
  set('events', events ? undefined : '0')
  set('quiet', options.quiet === true ? '0' : undefined)
  set('follow', follow === true ? '1' : undefined)
  return query
}

function checkTail(typed: string): string {
  if (typed === 'all' || /^\d{1,9}$/.test(typed)) return typed
  throw new UserError(`--tail ${JSON.stringify(typed)}: expected a whole number of 0 or more, or all`)
}

/** Converts to a time with an offset, because the orchestrator may run in another time zone. */
function toIsoTime(flag: string, typed: string, now: number): string {
  const time = parseTime(typed, now)
  if (time === null) throw new UserError(`${flag} ${JSON.stringify(typed)}: expected ${timeForm}`)
  return new Date(time).toISOString()
}

function checkPattern(typed: string): string {
  try {
    void new RegExp(typed)
    return typed
  } catch (error) {
    throw new UserError(`--grep ${JSON.stringify(typed)}: ${messageOf(error)}`)
  }
}

/** Parses a line of the log. */
export function parseEntry(line: string): LogRecord {
  return logEntry.parse(JSON.parse(line))
}

/** Returns the text of a record that is about the request. */
function reasonIn(line: string): string {
  const record = parseEntry(line)
  return 'line' in record ? line : describe(record).text
}

/** Returns a function that renders a record as the orchestrator shows the line or message. */
async function recordRenderer(
  client: ControlClient,
  options: PrefixOptions,
  hasTimeLimit: boolean,
): Promise<(line: string) => string> {
  const { stdout } = process
  const colour = showsColour(stdout)
  const pretty = stdout.isTTY ? await loadPretty(colour) : null
  const { processes } = await client.call('GET', '/status', statusAnswer, { hasTimeLimit })
  const known = new Map(
    processes.map(({ name, state }) => [name, { name, leftOut: state === 'disabled' ? state : null }]),
  )
  const prefixes = new Prefixes({ ...options, columns: columnsOf(stdout) })
  prefixes.setProcesses([...known.values()])
  return (line) => {
    const record = parseEntry(line)
    const time = 'time' in record ? record.time : Date.now()
    if (!('line' in record)) return ownLines(describe(record), prefixes.render(null, colour, time), colour).join('\n')
    const { process: name, pid } = record
    if (known.get(name)?.leftOut !== null) {
      // A reload has added the process, or it was disabled and has started.
      known.set(name, { name, leftOut: null })
      prefixes.setProcesses([...known.values()])
    }
    const head = prefixes.render({ name, pid }, colour, time)
    if (pretty === null) return head + record.line
    return head + decodeUtf8(forTerminal(encodeUtf8(record.line), encodeUtf8(head), pretty)).text
  }
}

/** Returns the message of a record that is not a line of output. */
function describe(record: Exclude<LogRecord, { line: string }>) {
  if ('message' in record) return { level: record.level, text: record.message }
  if ('dropped' in record) {
    return { level: 'warn', text: `${record.dropped} lines dropped: the reader was too slow` } as const
  }
  if ('error' in record) return { level: 'error', text: record.error } as const
  if ('without_level' in record) {
    const { without_level: count } = record
    const hidden = count === 1 ? '1 line without a level is hidden' : `${count} lines without a level are hidden`
    const text = `no line of a process has this level or a higher one; ${hidden}, --stream stderr shows the errors of most programs`
    return { level: 'warn', text } as const
  }
  const time = new Date(record.lost_until).toLocaleTimeString('en-GB')
  const text = `${record.process}: its lines up to ${time} are no longer kept; a log file ("log": {"file": …}) keeps more`
  return { level: 'warn', text } as const
}
