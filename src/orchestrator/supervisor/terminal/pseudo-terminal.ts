import { readSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { PassThrough, type Readable, type Writable } from 'node:stream'
import { ReadStream } from 'node:tty'
import { messageOf } from '../../config/errors.ts'
import type { ExitResult } from '../events.ts'
import type { TerminalSize } from './size.ts'

const PACKAGE = '@lydell/node-pty'

/**
 * The native functions of node-pty. Its class waits up to 200 ms after the exit and then discards unread output, so it is not
 * used.
 */
interface Native {
  fork(
    file: string,
    args: readonly string[],
    environment: readonly string[],
    cwd: string,
    columns: number,
    rows: number,
    uid: number,
    gid: number,
    isUtf8: boolean,
    helper: string,
    onExit: (code: number, signal: number) => void,
  ): { readonly fd: number; readonly pid: number }
  resize(fd: number, columns: number, rows: number): void
}

/** The limit of output that is read ahead of its reader; then the child is slowed. */
const BUFFER_BYTES = 64 * 1024

/** The orchestrator's side of a child's pseudo-terminal. */
export interface PseudoTerminal {
  readonly pid: number
  readonly input: Writable
  /** Everything that the terminal shows, including the echo of the input. Ends when no process has the terminal open. */
  readonly output: Readable
  readonly exited: Promise<ExitResult>
  resize(size: TerminalSize): void
}

export interface PseudoTerminalOptions {
  /** The absolute path of an existing program. */
  readonly program: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly size: TerminalSize
}

let loaded: { readonly native: Native; readonly helper: string } | null = null

/**
 * Starts a program as the leader of a new session whose terminal is its stdin, stdout and stderr. Throws if the optional package
 * is missing or does not work on this system.
 */
export function openPseudoTerminal({ program, args, env, cwd, size }: PseudoTerminalOptions): PseudoTerminal {
  const { native, helper } = (loaded ??= load())
  const environment = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  let onExit: (exit: ExitResult) => void = () => undefined
  const exited = new Promise<ExitResult>((resolve) => (onExit = resolve))
  const ended = (code: number, signal: number) => onExit(exitOf(code, signal))
  const { columns, rows } = size
  const child = native.fork(program, args, environment, cwd, columns, rows, -1, -1, true, helper, ended)
  const terminal = new ReadStream(child.fd)
  const output = new PassThrough({ highWaterMark: BUFFER_BYTES })
  // libuv reports the end when the terminal is closed, even if the kernel still has output.
  terminal.once('end', () => readRest(child.fd, output))
  // EIO when the last process has closed the terminal.
  terminal.on('error', () => undefined).once('close', () => output.end())
  output.once('close', () => terminal.destroy())
  terminal.pipe(output, { end: false })
  return {
    pid: child.pid,
    input: terminal,
    output,
    exited,
    resize: (next) => {
      if (!terminal.destroyed) native.resize(child.fd, next.columns, next.rows)
    },
  }
}

/** Reads the output that the kernel has; all of it, if no process has the terminal open. */
function readRest(fd: number, output: Writable): void {
  const buffer = Buffer.alloc(BUFFER_BYTES)
  try {
    for (let bytes = 1; bytes > 0;) {
      bytes = readSync(fd, buffer)
      if (bytes > 0) output.write(Buffer.from(buffer.subarray(0, bytes)))
    }
  } catch {
    // EIO: everything is read. EAGAIN: a process has the terminal open, but there is no output.
  }
}

function load(): { readonly native: Native; readonly helper: string } {
  const require = createRequire(import.meta.url)
  const platform = `${process.platform}-${process.arch}`
  try {
    const { requireBinary } = require(`${PACKAGE}/requireBinary.js`)
    const helper = process.platform === 'darwin' ? require.resolve(`${PACKAGE}-${platform}/spawn-helper`) : ''
    return { native: requireBinary('pty.node'), helper }
  } catch (error) {
    const [reason] = messageOf(error).split('\n')
    throw new Error(
      `"tty" needs the optional package ${PACKAGE}, which does not work here (${platform}: ${reason}); install it ` +
        'with: npm install --include=optional, or remove "tty"',
      { cause: error },
    )
  }
}

function exitOf(code: number, signal: number): ExitResult {
  if (signal === 0) return { code, signal: null }
  const [name] = Object.entries(constants.signals).find(([, number]) => number === signal) ?? []
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of os.constants.signals are the names of the signals
  return { code: null, signal: (name ?? 'SIGKILL') as NodeJS.Signals }
}
