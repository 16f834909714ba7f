import type { Writable } from 'node:stream'
import { describeEvent, type Level } from './event-message.ts'
import type { SupervisorEvent } from '../../supervisor/events.ts'
import type { LogMessage } from '../../supervisor/output/log-history.ts'
import type { PromptLine } from '../../supervisor/output/prompt-line.ts'
import { OWN_NAME, type Prefixes } from '../../supervisor/output/prefixes.ts'

/** The limit of buffered bytes for a slow reader; further messages are dropped and counted. */
const fullBytes = 1024 * 1024

export interface ReporterOptions {
  readonly output: Writable
  readonly logFormat: 'text' | 'json'
  readonly colour: boolean
  readonly prefixes: Prefixes
  /** The last line of the terminal at `output`; null: none. */
  readonly prompt?: PromptLine | null
  /** Whether the message that all processes are ready names the key of the help. */
  readonly hasKeys?: boolean
  /** Called with every message. */
  readonly onMessage?: (message: Omit<LogMessage, 'time'>) => void
}

/** `fields` are part of JSON records only. */
type Log = (level: Level, text: string, fields: Fields) => void
interface Fields {
  readonly event?: SupervisorEvent
  readonly dropped?: number
}
type Write = (line: string) => void

/**
 * Writes events as prefixed lines, or as pino's JSON. Never throws and never waits for a reader. The messages of one event loop
 * turn are coalesced into one write, because a write costs more than a message.
 */
export async function createReporter(options: ReporterOptions) {
  const { output } = options
  let dropped = 0
  let wasReady = false
  let unwritten = ''
  const isFull = () => output.writableLength + unwritten.length > fullBytes
  const flush = (): void => {
    if (unwritten === '') return
    const lines = unwritten
    unwritten = ''
    if (!output.destroyed && !output.writableEnded) output.write(framed(lines, options.prompt))
  }
  const write = (line: string): void => {
    if (output.destroyed || output.writableEnded) return
    if (isFull()) {
      dropped += 1
      return
    }
    if (unwritten === '') setImmediate(flush)
    unwritten += line
  }
  const log = options.logFormat === 'json' ? await jsonLog(write) : textLog(options, write)
  const warnOfDropped = () => {
    if (dropped === 0 || isFull()) return
    const count = dropped
    dropped = 0
    log('warn', `${count} messages of the orchestrator were dropped: the reader was too slow`, { dropped: count })
  }
  const own = (level: Level, message: string) => {
    log(level, message, {})
    options.onMessage?.({ process: null, level, message, event: null })
  }
  return {
    event: (event: SupervisorEvent) => {
      // One message reports the exit and the completion.
      if (event.type === 'process_exited' && event.completes) return
      warnOfDropped()
      const { level, text } = describeEvent(event)
      const isFirstReady = event.type === 'all_ready' && !wasReady
      wasReady ||= isFirstReady
      log(level, isFirstReady && options.hasKeys === true ? `${text}; press ? for the keys` : text, { event })
      options.onMessage?.(toLogMessage(event, level, text))
    },
    info: (message: string) => own('info', message),
    warn: (message: string) => own('warn', message),
    /** Writes the messages of this turn immediately, so that they precede a line on another stream. */
    flush,
  }
}

function framed(lines: string, prompt: PromptLine | null = null): string {
  const [before, after] = prompt?.around() ?? ['', '']
  return before + lines + after
}

/** Returns the message without the quoted output, which is in the log anyway. */
function toLogMessage(event: SupervisorEvent, level: Level, text: string): Omit<LogMessage, 'time'> {
  const process = 'process' in event ? event.process : null
  if (!('lastLines' in event)) return { process, level, message: text, event }
  const kept = { ...event, lastLines: [] }
  return { process, level, message: describeEvent(kept).text, event: kept }
}

async function jsonLog(write: Write): Promise<Log> {
  const { pino } = await import('pino')
  const logger = pino({ base: { process: OWN_NAME, pid: process.pid, stream: 'stderr' } }, { write })
  return (level, text, fields) => logger[level](fields, text)
}

const colours = { info: null, warn: 33, error: 31 } as const

/** Returns a log that adds the prefix to each line of a message and each quoted line of output. */
function textLog({ colour, prefixes }: ReporterOptions, write: Write): Log {
  const prefix = prefixes.of(null, colour)
  return (level, text, { event }) => {
    const lastLines = event !== undefined && 'lastLines' in event ? event.lastLines : []
    const lines = ownLines({ level, text, lastLines }, prefix(), colour)
    write(lines.map((line) => `${line}\n`).join(''))
  }
}

interface OwnMessage {
  readonly level: Level
  readonly text: string
  /** Quoted lines of output. */
  readonly lastLines?: readonly string[]
}

/** Renders a message of the orchestrator: each line with the prefix. */
export function ownLines(
  { level, text, lastLines = [] }: OwnMessage,
  prefix: string,
  colour: boolean,
): readonly string[] {
  const sgr = colour ? colours[level] : null
  const paint = (line: string) => (sgr === null ? line : `\u001b[${sgr}m${line}\u001b[39m`)
  const quoted = lastLines.map((line) => `  | ${line}${colour ? '\u001b[0m' : ''}`)
  return [...text.split('\n').map(paint), ...quoted].map((line) => prefix + line)
}
