import { execFileSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { type IPty, spawn } from '@lydell/node-pty'
import { CommandLine } from './command-line.ts'

export const CTRL_C = '\u0003'
export const CTRL_Z = '\u001a'
export const CTRL_BACKSLASH = '\u001c'

/** Below the time limit of the shortest tests, 60 s. */
const TIMEOUT_MS = 50_000

export interface TerminalOptions {
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  readonly columns?: number
  readonly rows?: number
}

/** A program in a pseudo-terminal of its own, whose session it leads. */
export class Terminal {
  readonly pid: number
  /** Resolves with the exit code when the program has ended; 128 + N, as in a shell, if signal N has ended it. */
  readonly exitCode: Promise<number>
  /** Everything that the terminal has received. */
  output = ''
  readonly #pty: IPty
  readonly #waiting = new Set<() => void>()
  #hasEnded = false

  constructor(command: string, args: readonly string[], { cwd, env, columns = 80, rows = 24 }: TerminalOptions) {
    this.#pty = spawn(command, [...args], { cwd, env, cols: columns, rows, name: 'xterm-256color' })
    this.pid = this.#pty.pid
    this.#pty.onData((text) => {
      this.output += text
      this.#wake()
    })
    this.exitCode = new Promise((resolve) => {
      this.#pty.onExit(({ exitCode, signal = 0 }) => {
        this.#hasEnded = true
        resolve(signal === 0 ? exitCode : 128 + signal)
        this.#wake()
      })
    })
  }

  /** Presses keys; `\u0003` is Ctrl-C. */
  press(keys: string): void {
    this.#pty.write(keys)
  }

  resize(columns: number, rows: number): void {
    this.#pty.resize(columns, rows)
  }

  /** Returns the mode of the terminal, as stty shows it. */
  mode(): string {
    const terminal = openSync(`/proc/${this.pid}/fd/0`, 'r+')
    try {
      return execFileSync('stty', ['-a'], { stdio: [terminal, 'pipe', 'ignore'] }).toString()
    } finally {
      closeSync(terminal)
    }
  }

  /**
   * Resolves with the first match at or after `from` in the output; rejects if the program ends before that. Rejects shortly before the
   * time limit of a test, with the output and the state of the processes, which the error of the test runner does not have.
   */
  async seen(pattern: RegExp, from = 0): Promise<RegExpExecArray> {
    const timeout = AbortSignal.timeout(TIMEOUT_MS)
    timeout.addEventListener('abort', () => this.#wake())
    for (;;) {
      const match = pattern.exec(this.output.slice(from))
      if (match !== null) return match
      if (this.#hasEnded) throw new Error(`ended without a match of ${pattern}:\n${this.output}`)
      if (timeout.aborted) {
        throw new Error(
          `no match of ${pattern} in ${TIMEOUT_MS / 1000} s:\n${this.output}\n${this.mode()}\n${this.#processes()}`,
        )
      }
      await new Promise<void>((resolve) => this.#waiting.add(resolve))
    }
  }

  /** Returns the processes of the terminal with their groups, states and pending, ignored and caught signals. */
  #processes(): string {
    const columns = 'pid,ppid,pgid,tpgid,stat,wchan:24,pending,ignored,caught,args'
    return execFileSync('ps', ['-o', columns, '--sid', String(this.pid)]).toString()
  }

  /** Sends SIGKILL to all processes in the foreground and to the program; resolves when it has ended. */
  async kill(): Promise<void> {
    if (!this.#hasEnded) this.#pty.kill('SIGKILL')
    await this.exitCode
  }

  #wake(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const wake of waiting) wake()
  }
}

/**
 * Returns the rows that a terminal shows after an output of text, colours, carriage returns and sequences that erase the rest of a
 * row; the last row has the cursor.
 */
export function rowsOf(output: string): readonly string[] {
  const rows: string[] = ['']
  let column = 0
  // oxlint-disable-next-line no-control-regex -- escape sequences begin with a control character
  for (const [part] of output.matchAll(/\u001b\[[\d;?]*[A-Za-z]|[\r\n]|[^\r\n\u001b]+/g)) {
    const row = rows.at(-1) ?? ''
    if (part === '\n') rows.push('')
    if (part === '\r') column = 0
    if (part === '\u001b[K') rows[rows.length - 1] = row.slice(0, column)
    if (['\r', '\n', '\u001b'].includes(part.charAt(0))) continue
    rows[rows.length - 1] = row.slice(0, column) + part + row.slice(column + part.length)
    column += part.length
  }
  return rows
}

/** The built `ponix-orchestrator`, and other programs, in terminals. */
export class TerminalCommandLine extends CommandLine {
  readonly #terminals: Terminal[] = []

  /** Starts a program in a terminal in the working directory. */
  open(command: string, args: readonly string[], options: Partial<TerminalOptions> = {}): Terminal {
    const env = { ...process.env, XDG_RUNTIME_DIR: this.folder, ...this.environment }
    const terminal = new Terminal(command, args, { cwd: this.folder, env, ...options })
    this.#terminals.push(terminal)
    return terminal
  }

  /** Starts `ponix-orchestrator` in a terminal. */
  openProgram(args: readonly string[], options?: Partial<TerminalOptions>): Terminal {
    return this.open(process.execPath, [this.path, ...args], options)
  }

  override async dispose(): Promise<void> {
    await Promise.all(this.#terminals.map((terminal) => terminal.kill()))
    await super.dispose()
  }
}
