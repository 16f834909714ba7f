import { closeSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Writable } from 'node:stream'
import type { ResolvedConfig } from '../../config/resolved.ts'
import type { SupervisorEvent } from '../../supervisor/events.ts'
import { LogHistory } from '../../supervisor/output/log-history.ts'
import { LogStream, openLogFile } from '../../supervisor/output/log-stream.ts'
import { Prefixes } from '../../supervisor/output/prefixes.ts'
import { PromptLine } from '../../supervisor/output/prompt-line.ts'
import { isInForeground } from '../../supervisor/system/process-table.ts'
import { sleep } from '../../supervisor/timers.ts'
import { columnsOf, type RunOptions, showsColour } from '../options.ts'
import { exitOnOutputError } from '../output-error.ts'
import { createReporter } from './reporter.ts'

/** The maximum wait for a reader of the last lines. */
const FLUSH_TIMEOUT_MS = 1000

/** Opens the destination of all lines: stdout and stderr, or the log file. Throws a UserError if the file cannot be written. */
export async function openOutput(
  options: RunOptions,
  { processes }: Pick<ResolvedConfig, 'processes'>,
  emit: (event: SupervisorEvent) => void,
) {
  // Supervision continues without a reader.
  process.stdout.off('error', exitOnOutputError)
  const log = options.logFile === null ? null : openLog(options.logFile, emit)
  const { stdout, stderr } = log === null ? process : { stdout: log, stderr: log }
  const colour = {
    stdout: log === null && showsColour(process.stdout),
    stderr: log === null && showsColour(process.stderr),
  }
  const prefixes = new Prefixes({ ...options.prefix, columns: log === null ? columnsOf(process.stdout) : null })
  prefixes.setProcesses(processes)
  const history = new LogHistory()
  const hasKeys = hasKeyboard(options)
  const prompt = hasKeys ? new PromptLine(process.stdout) : null
  const reporter = await createReporter({
    output: stderr,
    logFormat: options.logFormat,
    colour: colour.stderr,
    prefixes,
    prompt: process.stderr.isTTY ? prompt : null,
    hasKeys: hasKeys && isInForeground(process.pid),
    onMessage: (message) => history.pushMessage(message),
  })
  // Also before an end by an internal error.
  process.once('exit', reporter.flush)
  return {
    /** What the supervisor needs of it. */
    supervised: { output: { stdout, stderr }, colour, prefixes, history, prompt, beforeWrite: reporter.flush },
    /** The last line of the terminal; null if no keys have an effect. */
    prompt,
    reporter,
    /** Resolves when the last lines are written, or no reader takes them. */
    finish: async () => {
      reporter.flush()
      if (log === null) await Promise.all([flushed(stdout), flushed(stderr)])
      else await log.finish(FLUSH_TIMEOUT_MS)
    },
  }
}

export type RunOutput = Awaited<ReturnType<typeof openOutput>>

/** Returns whether keys have an effect while the orchestrator is in the foreground. */
function hasKeyboard({ keys, logFormat, logFile }: RunOptions): boolean {
  return keys && logFormat === 'text' && logFile === null && process.stdin.isTTY && process.stdout.isTTY
}

function openLog(path: string, emit: (event: SupervisorEvent) => void): LogStream {
  closeSync(openLogFile(path))
  return new LogStream({ path: resolve(path), maxSize: 10_000_000, maxFiles: 5 }, emit)
}

async function flushed(stream: Writable): Promise<void> {
  if (stream.writableLength === 0 || stream.destroyed || stream.errored !== null) return
  await Promise.race([new Promise<void>((written) => stream.once('drain', written)), sleep(FLUSH_TIMEOUT_MS)])
}
