import { type ChildProcess, spawn } from 'node:child_process'
import { fstatSync, readSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { UserError } from '../../config/errors.ts'
import { loadConfig } from '../../config/load.ts'
import { ownCommand } from '../../config/own-command.ts'
import { statusAnswer } from '../../control/protocol.ts'
import { type RunFolder, runFolder } from '../../supervisor/guard/run-folder.ts'
import { previousRun } from '../../supervisor/guard/run-lock.ts'
import { openLogFile } from '../../supervisor/output/log-stream.ts'
import { ControlClient, isNotRunning } from '../remote/control-client.ts'
import { failureIn, lastLinesOf, showProgress } from './detach-report.ts'
import { type FileOptions, type RunOptions, toLoadOptions } from '../options.ts'
import { describeOutcome, requestWait } from '../remote/wait.ts'

export interface DetachOptions extends Pick<RunOptions, 'exitCodeFrom' | 'watch'> {
  /** The typed path of the log file; null: `defaultLogFile`. */
  readonly logFile: string | null
  /** Waits until all processes are ready or completed. */
  readonly wait: boolean
}

/** The maximum size of the output that is shown after a failed start. */
const SHOWN_BYTES = 16 * 1024

/**
 * Returns the log file of a configuration's detached runs, in `XDG_STATE_HOME` or `~/.local/state`; null if this user has neither
 * of these folders.
 */
export function defaultLogFile(configPath: string, { path }: RunFolder, environment: NodeJS.ProcessEnv): string | null {
  const parent = stateFolder(environment)
  if (parent === null) return null
  const title = [basename(dirname(configPath)), basename(configPath).replace(/\.[^.]*$/, '')]
    .filter((part) => part !== 'commonplace' && part !== '')
    .join('-')
    .replaceAll(/[^\w.-]/g, '_')
  return join(parent, 'ponix-orchestrator', `${title === '' ? 'root' : title}-${basename(path).slice(0, 8)}.log`)
}

function stateFolder(environment: NodeJS.ProcessEnv): string | null {
  const state = environment['XDG_STATE_HOME']
  if (state?.startsWith('/')) return state
  const home = environment['HOME'] ?? homeOfUser()
  return home?.startsWith('/') ? join(home, '.local', 'state') : null
}

function homeOfUser(): string | null {
  try {
    return homedir()
  } catch {
    // This user has no entry in the user database, as in a container.
    return null
  }
}

/** Returns the path of the log file, and advice for an error that concerns it. Throws a UserError if no folder is known for it. */
function logFileOf(
  { logFile }: DetachOptions,
  configPath: string,
  folder: RunFolder,
): { readonly path: string; readonly advice: string | undefined } {
  if (logFile !== null) return { path: resolve(logFile), advice: undefined }
  const path = defaultLogFile(configPath, folder, process.env)
  const advice = 'set XDG_STATE_HOME to a folder that you can write to, or name a log file with --log-file'
  if (path === null) throw new UserError(`this user has no home folder, where the log file is kept; ${advice}`)
  return { path, advice }
}

/** Returns the arguments with which the orchestrator runs in the background: those of the caller, with another log file. */
export function backgroundArguments(args: readonly string[], logFile: string): readonly string[] {
  const kept = args.filter((arg, index) => {
    const isValue = args[index - 1] === '--log-file'
    return !isValue && !/^(-d|--detach|--wait|--log-file(=.*)?)$/s.test(arg)
  })
  const end = kept.includes('--') ? kept.indexOf('--') : kept.length
  return [...kept.slice(0, end), '--log-file', logFile, '--detached', ...kept.slice(end)]
}

/** Starts the orchestrator in a session of its own. Resolves when it holds the lock, with `wait` when its processes are up. */
export async function detach(typed: FileOptions, options: DetachOptions): Promise<void> {
  const config = loadConfig(toLoadOptions(typed, options))
  if (options.wait && config.control === null) {
    throw new UserError('--wait needs the control socket, but "control" is false in the file')
  }
  const folder = runFolder(config.path, process.env)
  previousRun({ folder, configPath: config.path })
  const { path: logFile, advice } = logFileOf(options, config.path, folder)
  const log = new Log(logFile, advice)
  const child = spawnInBackground(backgroundArguments(process.argv.slice(2), logFile), log.descriptor)
  const background: Background = {
    child,
    ended: new Promise((resolveWith) => child.once('exit', (code) => resolveWith(code ?? 1))),
    stillRuns: `the orchestrator keeps running in the background (pid ${child.pid}); stop it with: ${ownCommand('down', typed)}`,
  }
  process.once('SIGINT', () => {
    process.stderr.write(`\n${background.stillRuns}\n`)
    process.exit(130)
  })
  try {
    const code = await startOf(background, typed, { log, wait: options.wait })
    if (code === null) process.stdout.write(describeStart(child, typed, logFile))
    else process.exitCode = code
  } finally {
    child.unref()
    if (child.connected) child.disconnect()
  }
}

interface Background {
  readonly child: ChildProcess
  /** Resolves with the exit code. */
  readonly ended: Promise<number>
  readonly stillRuns: string
}

/**
 * Resolves with null when the orchestrator holds the lock and, with `wait`, its processes are up; otherwise with an exit code, after
 * it has reported the failure.
 */
async function startOf(
  { child, ended, stillRuns }: Background,
  typed: FileOptions,
  { log, wait }: { readonly log: Log; readonly wait: boolean },
): Promise<number | null> {
  const started = new Promise<null>((resolveWith) => child.once('message', () => resolveWith(null)))
  const code = await Promise.race([ended, started])
  if (code !== null) log.showFailure()
  if (code !== null || !wait) return code
  const goal = { names: [], goal: 'ready', timeoutMs: null } as const
  const progress = new AbortController()
  if (process.stderr.isTTY) void showProgress(typed, progress.signal).catch(() => undefined)
  try {
    const answer = await requestWait(typed, goal)
    const problem = describeOutcome(answer, goal)
    if (problem === null) return null
    const { stopping } = await new ControlClient(typed).call('GET', '/status', statusAnswer)
    if (!stopping) {
      process.stderr.write(`ponix-orchestrator: ${problem}\n`)
      for (const { name, outcome } of answer.processes) {
        if (outcome === 'never') process.stderr.write(await lastLinesOf(typed, name))
      }
      process.stderr.write(`${log.location}\n${stillRuns}\n`)
      return 1
    }
  } catch (error) {
    if (!isNotRunning(error)) throw error
  } finally {
    progress.abort()
  }
  // The orchestrator ends: the start has failed, or all tasks have ended without a failure.
  const exitCode = await ended
  if (exitCode === 0) return null
  log.showFailure()
  return exitCode
}

/** The log file of the background orchestrator, to which it also writes an error that ends it. */
class Log {
  readonly descriptor: number
  /** A sentence that names the file. */
  readonly location: string
  readonly #start: number

  /** Throws a UserError, which ends with `advice`, if the file cannot be written. */
  constructor(path: string, advice?: string) {
    this.descriptor = openLogFile(path, advice)
    this.location = `the output is in ${path}`
    this.#start = fstatSync(this.descriptor).size
  }

  /** Prints the reason of the failed start with the output of the process to stderr; if it is unknown, all output. */
  showFailure(): void {
    const text = this.#text()
    process.stderr.write(`${failureIn(text) ?? text}${this.location}\n`)
  }

  /** Returns the output of the background orchestrator so far, at most the last 16 KiB. */
  #text(): string {
    const { size } = fstatSync(this.descriptor)
    const from = Math.max(this.#start, size - SHOWN_BYTES)
    const bytes = Buffer.alloc(Math.max(0, size - from))
    const length = readSync(this.descriptor, bytes, 0, bytes.length, from)
    const text = bytes.toString('utf8', 0, length)
    return from > this.#start ? text.slice(text.indexOf('\n') + 1) : text
  }
}

/** Starts this program in a new session with no descriptor of the caller except the log. */
function spawnInBackground(args: readonly string[], log: number): ChildProcess {
  const program = fileURLToPath(new URL('./cli.js', import.meta.url))
  return spawn(process.execPath, [...process.execArgv, program, ...args], {
    detached: true,
    stdio: ['ignore', 'ignore', log, 'ipc'],
  })
}

function describeStart({ pid }: ChildProcess, typed: FileOptions, logFile: string): string {
  return [
    `runs ${typed.config} in the background (pid ${pid})`,
    `output: ${logFile}`,
    `follow it with: ${ownCommand('logs -f', typed)}`,
    `stop it with:   ${ownCommand('down', typed)}`,
  ]
    .map((line) => `${line}\n`)
    .join('')
}
