import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { StartupError, messageOf } from '../../src/domain/errors.ts'
import { runCommand } from './run-command.ts'

export interface ServerCommand {
  readonly command: string
  readonly args: readonly string[]
  /** The folder of `server.pid`. It must be among the args, which identify the process after a restart. */
  readonly dataDir: string
  /** Variables in addition to those of this process. */
  readonly env?: Readonly<Record<string, string>>
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
  readonly stopSignal: NodeJS.Signals
  /** The time until SIGKILL. */
  readonly stopTimeoutMs: number
  readonly onLine: (line: string) => void
}

/** A script that writes its process id before it execs the server, so that the id is always recorded. */
const LAUNCH = 'echo $$ > "$1" && shift && exec "$@"'

/** A script that waits for EOF on a pipe that only the parent holds open; then it stops the server if that still runs. */
const WATCH = `read -r _
pid=$(cat "$1" 2>/dev/null) || exit 0
kill -s "$2" "$pid" 2>/dev/null || exit 0
left=$3
while kill -0 "$pid" 2>/dev/null && ! grep -qs ') Z ' "/proc/$pid/stat"; do
  [ "$left" -gt 0 ] || { kill -s KILL "$pid"; exit 0; }
  left=$((left - 1))
  sleep 1
done`

/**
 * Runs a server program until it ends or the signal aborts, and resolves to the way it ended: `exit code 1`. The program
 * always ends with this process, even after SIGKILL.
 */
export async function runServerProcess(options: ServerCommand, signal: AbortSignal): Promise<string> {
  const { command, args, dataDir, env, user, stopSignal, stopTimeoutMs } = options
  const pidFile = join(dataDir, 'server.pid')
  await rm(pidFile, { force: true })
  const watchArgs = ['-c', WATCH, 'ponix-watch', pidFile, stopSignal.slice(3), String(Math.ceil(stopTimeoutMs / 1000))]
  const watch = spawn('/bin/sh', watchArgs, { cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  watch.stdin.on('error', () => {})
  const child = spawn('/bin/sh', ['-c', LAUNCH, 'ponix-launch', pidFile, command, ...args], {
    ...user,
    env: { ...process.env, ...env },
    cwd: dataDir,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const outputs = [readLines(child.stdout, options.onLine), readLines(child.stderr, options.onLine)]
  let killTimer: NodeJS.Timeout | undefined
  const stop = (): void => {
    child.kill(stopSignal)
    killTimer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
  }
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  const how = await endOf(child)
  signal.removeEventListener('abort', stop)
  clearTimeout(killTimer)
  await rm(pidFile, { force: true })
  watch.stdin.end()
  await Promise.all([...outputs, endOf(watch)])
  return how
}

/** Stops a server program of an earlier run that still uses the data folder, with `signal`, and waits for its exit. */
export async function stopOrphan(dataDir: string, signal: NodeJS.Signals): Promise<void> {
  const pid = Number(await readFile(join(dataDir, 'server.pid'), 'utf8').catch(() => '0'))
  if (!(pid > 1)) return
  for (let waitedMs = 0; await serves(pid, dataDir); waitedMs += 50) {
    if (waitedMs === 0) kill(pid, signal)
    if (waitedMs === 10_000) kill(pid, 'SIGKILL')
    if (waitedMs > 20_000)
      throw new StartupError(`process ${pid} still uses ${dataDir} and cannot be stopped; stop it first`)
    await sleep(50)
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return
    throw new StartupError(`cannot stop process ${pid} of an earlier run: ${messageOf(error)}; stop it first`, {
      cause: error,
    })
  }
}

/** Returns whether the process runs with this data folder, because its id may have been reused. */
async function serves(pid: number, dataDir: string): Promise<boolean> {
  const inProc = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined)
  if (inProc !== undefined) return inProc.includes(dataDir)
  if (process.platform === 'linux') return false
  return (await runCommand('ps', ['-p', String(pid), '-o', 'args='])).output.includes(dataDir)
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : signal))
  })
}

async function readLines(stream: Readable, onLine: (line: string) => void): Promise<void> {
  const lines = createInterface({ input: stream })
  lines.on('line', onLine)
  await once(lines, 'close')
}
