import type { Writable } from 'node:stream'
import { pino } from 'pino'
import { prettyFactory } from 'pino-pretty'
import { describeEvent } from './event-message.ts'
import type { SupervisorEvent } from '../supervisor/events.ts'
import { linePrefix, prefixWidth } from '../supervisor/output/prefix.ts'

const name = 'orchestrator'
/** With this much not taken by whoever reads, messages are dropped and counted rather than kept. */
const fullBytes = 1024 * 1024

export interface ReporterOptions {
  readonly output: Writable
  readonly logFormat: 'text' | 'json'
  readonly colour: boolean
  /** Of the processes: the prefix is padded to the same width as theirs. */
  readonly names: readonly string[]
}

export interface Reporter {
  readonly event: (event: SupervisorEvent) => void
  /** Something of the command line's own. */
  readonly warn: (message: string) => void
}

/** Writes what happens as pino events: prefixed lines for people, or JSON. Never throws, never waits for a reader. */
export function createReporter(options: ReporterOptions): Reporter {
  const { output } = options
  const format = options.logFormat === 'json' ? (line: string) => line : textFormat(options)
  let dropped = 0
  const write = (line: string): void => {
    if (output.destroyed || output.writableEnded) return
    if (output.writableLength > fullBytes) dropped += 1
    else output.write(format(line))
  }
  const logger = pino({ base: { process: name, pid: process.pid, stream: 'stderr' } }, { write })
  const warnOfDropped = () => {
    if (dropped === 0 || output.writableLength > fullBytes) return
    const count = dropped
    dropped = 0
    logger.warn({ dropped: count }, `${count} messages of the orchestrator were lost: nobody read them`)
  }
  return {
    event: (event) => {
      warnOfDropped()
      const { level, text } = describeEvent(event)
      logger[level]({ event }, text)
    },
    warn: (message) => logger.warn(message),
  }
}

/** One line becomes a prefixed line, and one more for each that it quotes. */
function textFormat({ colour, names }: ReporterOptions): (line: string) => string {
  const plainPrefix = linePrefix(name, prefixWidth([...names, name]), null)
  const prefix = colour ? `\u001b[1m${plainPrefix}\u001b[22m` : plainPrefix
  const pretty = prettyFactory({
    colorize: colour,
    hideObject: true,
    ignore: 'level,time,pid',
    messageFormat: (log, messageKey, _level, { colors }) => {
      const text = String(log[messageKey])
      const quoted = lastLinesOf(log['event']).map((line) => `  | ${line}`)
      const reset = colour ? '\u001b[0m' : ''
      return [colourOf(log['level'], colors)(text), ...quoted.map((line) => line + reset)].join('\n')
    },
  })
  return (line) => `${pretty(line).replace(/\n+$/, '').replaceAll(/^/gm, prefix)}\n`
}

function lastLinesOf(event: unknown): readonly string[] {
  if (typeof event !== 'object' || event === null || !('lastLines' in event)) return []
  return Array.isArray(event.lastLines) ? event.lastLines.map(String) : []
}

type Paint = (text: string) => string

function colourOf(level: unknown, colours: { readonly red: Paint; readonly yellow: Paint }): Paint {
  if (level === 50) return colours.red
  return level === 40 ? colours.yellow : (text) => text
}
